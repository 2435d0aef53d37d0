#include "signals.h"

extern "C" void truenas_install_hooks(int (*pending)(), int (*dispatch)());

namespace native::signals {

static const char handlers[] = "PVE::Storage::TrueNAS::Native::_run_signal_handlers";

// What a handler left behind until Rust has unwound.
static thread_local SV *exception = nullptr;
static thread_local int leaving = 0;

extern "C" {

static int pending() {
    dTHX;
    return PL_sig_pending != 0;
}

// Runs inside Rust's wait: a die or an exit must end here, never cross the Rust frames above.
static int dispatch() {
    dTHX;
    dJMPENV;
    int level = 0;
    volatile int ended = 0;
    JMPENV_PUSH(level);
    if (level == 0) {
        dSP;
        ENTER;
        SAVETMPS;
        SV *callers = sv_mortalcopy(ERRSV);
        PUSHMARK(SP);
        call_pv(handlers, G_EVAL | G_VOID | G_DISCARD | G_NOARGS);
        SV *error = ERRSV;
        if (SvROK(error) || SvTRUE(error)) {
            SvREFCNT_dec(exception);
            exception = newSVsv(error);
            ended = 1;
        }
        sv_setsv(ERRSV, callers);
        FREETMPS;
        LEAVE;
    } else {
        leaving = level;
        ended = 1;
    }
    JMPENV_POP;
    return ended;
}

static void run_signal_handlers(pTHX_ CV *cv) {
    dXSARGS;
    PERL_UNUSED_VAR(items);
    PERL_ASYNC_CHECK();
    XSRETURN_EMPTY;
}
}

void install(pTHX) {
    newXS(handlers, run_signal_handlers, __FILE__);
    truenas_install_hooks(pending, dispatch);
}

void resume_exit(pTHX) {
    if (!leaving) return;
    const int level = leaving;
    leaving = 0;
    JMPENV_JUMP(level);
}

void resume_die(pTHX) {
    if (!exception) return;
    SV *error = exception;
    exception = nullptr;
    croak_sv(sv_2mortal(error));
}

} // namespace native::signals
