"""What a cluster would do with a rendered tree, done on this machine: stage, mount, serve, ask.

    tree ─deployed─► objects ─work─────► Work ──────┬─staging─► files ─onray────► answers, figures
                             └inference► Inference ─┘                  └onkserve► answers, figures

The arrows on the left are pure, apart from helm; `flow` runs those on the right and ends what it started.
"""
