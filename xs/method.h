// One XSUB for any function of the bridge, made from its type. Three phases per call:
//
//   1  take the arguments   may die; plain data and mortals only
//   2  the call itself      C++ objects live, nothing can die or jump
//   3  warn, die or return  no C++ object is alive
#pragma once

#include "arguments.h"
#include "results.h"
#include "signals.h"

namespace native {

// Runs C++ code; what it throws comes back as the text to die with.
template <class Body> SV *attempt(pTHX_ Body &&body) noexcept {
    try {
        body();
        return nullptr;
    } catch (const std::exception &error) {
        return newSVpvf("%s\n", error.what());
    } catch (...) {
        return newSVpvs("internal error: unknown exception\n");
    }
}

inline void warn_all(pTHX_ AV *warnings) {
    for (SSize_t i = 0; i <= av_top_index(warnings); i++) {
        SV **line = av_fetch(warnings, i, 0);
        if (line) warn_sv(sv_2mortal(newSVpvf("%" SVf "\n", SVfARG(*line))));
    }
}

template <auto function> struct Method;

template <class Result, class... Arguments, Result (*function)(Arguments...)> struct Method<function> {
    using Taken = std::tuple<typename Argument<Arguments>::Taken...>;
    static_assert(std::is_trivially_destructible_v<Taken>, "a die would skip its destructor");

    static void xsub(pTHX_ CV *method) { run(aTHX_ method, std::index_sequence_for<Arguments...>()); }

  private:
    template <std::size_t... position> static void run(pTHX_ CV *method, std::index_sequence<position...>) {
        dXSARGS;
        if (items > (int)sizeof...(Arguments))
            croak("%s: %d arguments, but it takes %d", GvNAME(CvGV(method)), (int)items, (int)sizeof...(Arguments));
        const Taken taken{Argument<Arguments>::take(
            aTHX_ method, (int)position, (int)position < items ? ST(position) : &PL_sv_undef)...};
        AV *out = (AV *)sv_2mortal((SV *)newAV());
        AV *warnings = (AV *)sv_2mortal((SV *)newAV());

        SV *error = attempt(aTHX_ [&] { call(aTHX_ out, std::get<position>(taken)...); });
        SV *lost = attempt(aTHX_ [&] {
            for (const rust::String &line : truenas::drain_warnings()) av_push(warnings, text(aTHX_ line));
        });
        if (lost) SvREFCNT_dec(lost);

        signals::resume_exit(aTHX);
        if (error) sv_2mortal(error);
        warn_all(aTHX_ warnings);
        signals::resume_die(aTHX);
        if (error) croak_sv(error);
        give_back(aTHX_ ax, out);
    }

    static void call(pTHX_ AV *out, const typename Argument<Arguments>::Taken &...taken) {
        // A tainted argument would taint every value made from here on; Rust has checked what it returns.
        TAINT_NOT;
        invoke(aTHX_ out, typename Argument<Arguments>::Made(taken)...);
    }

    static void invoke(pTHX_ AV *out, typename Argument<Arguments>::Made &&...made) {
        if constexpr (std::is_void_v<Result>) {
            function(made.value...);
        } else {
            auto result = function(made.value...);
            TAINT_NOT; // a signal handler may have run meanwhile
            give(aTHX_ out, result);
        }
    }

    static void give_back(pTHX_ I32 ax, AV *out) {
        dSP;
        SP = PL_stack_base + ax - 1;
        const SSize_t count = av_top_index(out) + 1;
        EXTEND(SP, count);
        for (SSize_t i = 0; i < count; i++) PUSHs(sv_2mortal(SvREFCNT_inc(*av_fetch(out, i, 0))));
        PUTBACK;
    }
};

} // namespace native
