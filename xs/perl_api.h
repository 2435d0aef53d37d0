// Perl's headers define macros that break the C++ library's; so the library comes first, everywhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "bridge.h"
#include "cxx.h"

#define PERL_NO_GET_CONTEXT
extern "C" {
#include "EXTERN.h"
#include "perl.h"
#include "XSUB.h"
}
#undef do_open
#undef do_close
