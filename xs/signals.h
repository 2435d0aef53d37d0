// Perl's deferred signal handlers, run while Rust waits.
#pragma once

#include "perl_api.h"

namespace native::signals {

// Hands Perl's side of the waiting to Rust; once, at load.
void install(pTHX);

// After a call, when no C++ object is alive: goes on with what a handler began. Each returns when there was nothing.
void resume_exit(pTHX);
void resume_die(pTHX);

} // namespace native::signals
