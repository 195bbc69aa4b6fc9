// Nothing but the public headers can be reached.
#include <stablelm/stablelm.h>
#if __has_include("base/error.h") || __has_include("facade/guard.h")
#error "headers of src/ can be reached"
#endif
#if STABLELM_VERSION_MAJOR > 0 || STABLELM_VERSION_MINOR < 1
#error "not the version of these headers"
#endif
const char* version = stablelm::Version();
int main() { return version == nullptr; }
