// Rows of a Parquet file, read by DuckDB's command-line program.
//
// The program gets the open file as its standard input, so that no file name becomes part of its command, and writes
// JSON lines to a pipe. It runs with one thread, a memory limit, no extensions to load and no access to any other file.
// (Its standard input and no higher descriptor, which the issue of PyPI's package would close: its `duckdb` is a Python
// script that starts the program.)
//
// A row is an object of the chosen columns, in the order of the choice. Columns of bytes are text where they are UTF-8,
// else null; inside lists and objects they come as \xNN. Numbers that are not finite are null, except inside lists and
// objects.
#pragma once

#include <filesystem>
#include <memory>

#include "dataset/read/row_reader.h"

namespace stablelm {

// Throws Error when the program is not found or cannot read the file. ReadOptions::columns chooses
// columns that are there.
std::unique_ptr<RowReader> ParquetRows(const std::filesystem::path& path, const ReadOptions& options);

// The program that ParquetRows starts. Throws Error, with the command that installs it, when there is none.
std::filesystem::path FindDuckDb(const std::filesystem::path& named);

}  // namespace stablelm
