#!/bin/sh
# Secrets come as files: each one in $SECRETS that is named like a variable of ours, of AWS or of
# libpq becomes that variable, of this process and those that it starts.
set -eu
for file in "${SECRETS:-/run/secrets}"/*; do
  name=${file##*/}
  case $name in
    *[!A-Z0-9_]*) continue ;;
    CHOPMARK_* | AWS_* | PGPASSWORD) ;;
    *) continue ;;
  esac
  # A file that cannot be read ends this here, instead of a server without its password.
  value=$(cat "$file")
  export "$name=$value"
done
exec chopmark "$@"
