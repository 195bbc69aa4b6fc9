# shellcheck shell=bash
# For scripts that show progress on standard error; to be sourced.

# Columns of the terminal, less the last one, which some terminals wrap at; of 80 where there is none.
progress_width() {
  local size
  size=$(stty size <&2 2> /dev/null) || true
  size=${size#* }
  [[ "${size:-0}" -gt 1 ]] || size=80
  echo $((size - 1))
}

# show_progress_line WIDTH TEXT: in place of the line before. Without TEXT the line is empty again.
show_progress_line() { printf '\r%.*s\033[K' "$1" "${2:-}" >&2; }
