#!/bin/sh
# Builds and pushes the images with models inside that their registry does not have. The tag of an image is a digest of
# all that goes into it (docker-bake.json), so what is there needs no second build, whichever branch asked for it first.
#
#   sh .ci/modelyard-images.sh rendered/images
#
# REGISTRY is logged in to as REGISTRY_USER with REGISTRY_PASSWORD; without a user, nothing is: a step before has done
# it. HF_TOKEN is for gated and private models. BUILD_CONTEXT names a context of Docker for the builder, where the
# daemon is reached by TLS. The jobs of .github/workflows/modelyard-images.yml and .gitlab/modelyard.yml run it.
set -eu

folder=${1:?the folder with a folder for each image}
builder=''
login=''

leave() {
  if [ -n "$builder" ]; then
    docker buildx rm --force "$builder" || true
  fi
  if [ -n "$login" ]; then
    docker logout "$login" || true
  fi
}
trap leave EXIT

if [ ! -d "$folder" ]; then
  echo "No service has its models in its image."
  exit 0
fi

if ! said=$(docker buildx version 2>&1); then
  echo "Images are built by docker buildx, which does not answer here: $said" >&2
  echo "Run this where Docker and its plugin buildx are installed; an image of the job may lack the plugin." >&2
  exit 1
fi

if [ -n "${REGISTRY_USER:-}" ]; then
  login=${REGISTRY:?the registry that REGISTRY_USER is a user of}
  printf '%s' "${REGISTRY_PASSWORD:?}" | docker login --username "$REGISTRY_USER" --password-stdin "$login"
fi

for references in "$folder"/*/references; do
  set --
  while read -r target image; do
    if docker buildx imagetools inspect "$image" < /dev/null > /dev/null 2>&1; then
      echo "There already: $image"
    else
      echo "To be built: $image"
      set -- "$@" "$target"
    fi
  done < "$references"
  if [ $# -eq 0 ]; then
    continue
  fi
  if [ -z "$builder" ]; then
    # Docker's own builder makes no attestations.
    builder=$(docker buildx create --driver docker-container ${BUILD_CONTEXT:+"$BUILD_CONTEXT"})
  fi
  # Paths in docker-bake.json start at the working folder.
  (cd "${references%/*}" && docker buildx bake --builder "$builder" --file docker-bake.json --push "$@")
done
