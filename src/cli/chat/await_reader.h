// What keeps the two outputs of a chat in order on a terminal.
#pragma once

namespace stablelm {

// Waits a moment until the reader of stdout, such as tee, has taken what was written, so that what the terminal shows
// next comes after it.
void AwaitReader();

}  // namespace stablelm
