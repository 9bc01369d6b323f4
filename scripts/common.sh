# Read by the other scripts with `.`: finds Python, and drops those settings of the caller that would change where
# Python finds packages, or which packages pip installs and where. Settings of indexes, proxies and caches stay.

unset PYTHONHOME PYTHONPATH PYTHONSAFEPATH
unset PIP_TARGET PIP_PREFIX PIP_ROOT PIP_PYTHON PIP_REQUIREMENT PIP_EDITABLE PIP_GROUP PIP_CONSTRAINT PIP_PRE
unset PIP_BUILD_CONSTRAINT PIP_NO_BINARY PIP_ONLY_BINARY PIP_NO_DEPS PIP_NO_BUILD_ISOLATION PIP_REQUIRE_HASHES
unset PIP_PLATFORM PIP_PYTHON_VERSION PIP_IMPLEMENTATION PIP_ABI PIP_DRY_RUN PIP_IGNORE_INSTALLED PIP_QUIET
unset PIP_VERBOSE
unset UV_SYSTEM_PYTHON UV_BREAK_SYSTEM_PACKAGES UV_TARGET UV_PREFIX UV_CONSTRAINT UV_OVERRIDE UV_BUILD_CONSTRAINT
unset UV_NO_BINARY UV_PRERELEASE UV_RESOLUTION UV_OFFLINE
# Not unset: `user = true` and `require-virtualenv = true` may be in pip's configuration file.
export PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0

# Prints a value without the whitespace around it, such as the carriage return of a settings file with CRLF.
stripped() {
  printf '%s' "$1" | sed -e 's/^[[:space:]]*//' -e 's/[[:space:]]*$//'
}

# Prints the Python of RETOUCH_PYTHON, or else the first one that is new enough.
find_python() {
  python=$(stripped "${RETOUCH_PYTHON:-}")
  if [ -n "$python" ]; then
    set -- "$python"
  else
    set -- python3 python3.14 python3.13 python3.12 python3.11
  fi
  for candidate; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  if [ -n "$python" ]; then
    echo "Retouch needs Python 3.11 or newer; RETOUCH_PYTHON is $python." >&2
  else
    echo "Retouch needs Python 3.11 or newer; none was found (set RETOUCH_PYTHON to one)." >&2
  fi
  return 1
}
