#!/usr/bin/env bash
# Runs `modelyard check` in $FOLDER and copies what it says into the job summary.
# Reads MODELYARD (the program), FOLDER and GITHUB_STEP_SUMMARY; exits as the check does.
set -euo pipefail

# GitHub refuses a step summary above 1 MiB; the log has the rest.
limit=900000

cd -- "${FOLDER:-.}"
said=$(mktemp)
trap 'rm -f "$said"' EXIT

code=0
"${MODELYARD:-modelyard}" check >"$said" 2>&1 || code=$?
cat "$said"

if [[ $code -ne 0 && -n ${GITHUB_STEP_SUMMARY:-} ]]; then
  {
    printf '### modelyard check: exit %d\n\n' "$code"
    # Indented, not fenced: no line of a diff can end the block.
    head -c "$limit" "$said" | sed 's/^/    /'
    printf '\n'
  } >>"$GITHUB_STEP_SUMMARY"
fi
exit "$code"
