#pragma once
// Makes a failed LEAT_ASSERT print one line on stderr before the program aborts. Call it once at start-up.

namespace leat {

void print_failed_assertions();

}  // namespace leat
