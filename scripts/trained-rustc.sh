#!/bin/sh
# The compiler, as scripts/release.sh has cargo call it: crates that the training does not reach are compiled without
# its flags. Code that never ran counts as cold and is made small; the local engine and what counts tokens work in
# loops that have to be fast.
rustc=$1
shift
case " $* " in
*" --crate-name tollgate_kernels "* | *" --crate-name tollgate_engine "* | *" --crate-name tollgate_tokens "* | \
  *" --crate-name llguidance "* | *" --crate-name toktrie "* | *" --crate-name derivre "* | *" --crate-name minijinja "*)
  for argument; do
    shift
    case $argument in
    -Cprofile-*) ;;
    *) set -- "$@" "$argument" ;;
    esac
  done
  ;;
esac
exec "$rustc" "$@"
