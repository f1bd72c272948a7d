"""What a cluster would do with a rendered tree, done on this machine: stage, mount, serve, ask.

    tree ─deployed─► objects ─work─► Work ─fitted─► Rehearsal ─staging, mount, ray─► answers, figures

The arrows on the left are pure, apart from helm; `flow` runs those on the right and ends what it started.
"""
