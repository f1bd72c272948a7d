"""The output tree: what a render makes, compared with a folder and written to it all or nothing.

`build` checks the paths, `compare` says how a folder differs, `unified_diff` shows it, `write` makes it so.
Only POSIX systems: the walk needs openat and the lock needs flock.

How a write keeps its promises
------------------------------
1. An exclusive flock on `.modelyard/work/lock`; the kernel drops the lock of a dead process.
2. New contents go to `.modelyard/work/N.new`, on the same file system as the tree.
3. `.modelyard/work/journal.json` is renamed into place. That is the commit point: before it a dead run leaves
   the old tree and staging that the next run throws away; after it the next run first completes the dead one.
4. Old files move aside to `N.old`, emptied folders go, new files are renamed into place, the manifest last.
   Nothing is lost before the journal is removed, so a live run that meets an error puts everything back.

A process that reads the folder between 3 and the end of 4 can see a mix, as with any set of renames.
`compare` refuses to judge a tree with a journal, so a mix is never taken for a result. Swapping the whole
folder in one rename would hide the mix from readers that open it anew, but it needs a call that Python lacks
(renameat2), gives unchanged files new inodes and time stamps, and has to carry along every file that somebody
else keeps there.

The check of a file and its rename are two calls: an edit saved within those microseconds is not seen. Power
loss is out of scope: nothing is synced to the disk.

What is in the folder afterwards: the files, and `.modelyard/manifest.json`, which is committed with them and
says which files are ours, by digest. `.modelyard/work` exists only while a run works or after one died; it
holds a `.gitignore` of its own, made first and removed last, so Git never sees it.
"""

from __future__ import annotations

from generator.tree.difference import Difference, compare
from generator.tree.files import MANIFEST, Tree, build
from generator.tree.textdiff import unified_diff
from generator.tree.writer import Report, write

__all__ = ["MANIFEST", "Difference", "Report", "Tree", "build", "compare", "unified_diff", "write"]
