#!/bin/sh
# Proposes what is changed in this checkout as one request to merge into the branch $BASE: from a branch of its own,
# which is written anew while the request is open, and deleted when there is nothing left to propose.
#
#   sh .ci/modelyard-propose.sh SUMMARY
#
# SUMMARY is what `modelyard lock --summary` wrote: a subject, a blank line, a text. The refresh jobs of
# .github/workflows/modelyard-refresh.yml and .gitlab/modelyard.yml run it; nobody else needs to.
set -eu

summary=$1
base=${BASE:?the branch to merge into}
repository=${GITHUB_REPOSITORY:-} # owner/name
pulls=repos/$repository/pulls
branch=modelyard/refresh
title=$(head -n 1 "$summary")
body=$(mktemp)
trap 'rm -f "$body"' EXIT
tail -n +3 "$summary" > "$body"
printf '\nThe branch %s is written anew whenever something moves: commits added to it are lost.\n' "$branch" >> "$body"

# Number of a request of this branch in the state $1 that fulfils $2.
request() {
  gh api --method GET "$pulls" -f "state=$1" -f "base=$base" -f "head=${repository%%/*}:$branch" \
    --jq "[.[] | select($2)][0].number // empty"
}

listed=$(git ls-remote origin "refs/heads/$branch")
tip=${listed%%[!0-9a-f]*} # empty without such a branch
lease="--force-with-lease=refs/heads/$branch:$tip"

git add --all
if git diff --cached --quiet; then
  echo "Nothing to propose."
  if [ -n "$tip" ]; then
    git push --quiet "$lease" origin ":refs/heads/$branch" # which closes its request
  fi
  exit 0
fi

if [ -n "$tip" ]; then
  git fetch --quiet --depth=1 origin "refs/heads/$branch"
  if [ -n "${GITHUB_ACTIONS:-}" ] && git diff --cached --quiet FETCH_HEAD -- models.lock.yaml; then
    closed=$(request closed ".head.sha == \"$tip\"")
    if [ -n "$closed" ]; then
      echo "Turned down before, in #$closed: $title"
      exit 0
    fi
  fi
fi

pushed=no
if [ -n "$tip" ] && git diff --cached --quiet FETCH_HEAD; then
  echo "Proposed already: $title"
else
  echo "Proposing: $title"
  git checkout --quiet --detach
  git commit --quiet --no-verify --cleanup=whitespace --file="$summary"
  set --
  if [ -n "${GITLAB_CI:-}" ]; then
    # An option is one line; GitLab reads \n as the end of a line.
    description=$(awk '{ printf "%s\\n", $0 }' "$body")
    set -- -o merge_request.create -o merge_request.remove_source_branch -o "merge_request.target=$base" \
      -o "merge_request.title=$title" -o "merge_request.description=$description"
  fi
  git push --quiet "$lease" "$@" origin "HEAD:refs/heads/$branch"
  pushed=yes
fi

if [ -n "${GITHUB_ACTIONS:-}" ]; then
  number=$(request open true)
  if [ -z "$number" ]; then
    gh api --silent --method POST "$pulls" -f "base=$base" -f "head=$branch" -f "title=$title" -F "body=@$body"
  elif [ "$pushed" = yes ]; then
    gh api --silent --method PATCH "$pulls/$number" -f "title=$title" -F "body=@$body"
  fi
fi
