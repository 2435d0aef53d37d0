// Perl values → the bridge's types.
//
// take() runs Perl code (magic, overloading) and may die: it only makes plain data and mortals. make() runs where nothing
// can die and C++ objects may live. Everything is copied by take(): a signal handler that runs during the call can
// change the caller's variables.
#pragma once

#include "perl_api.h"

namespace native {

struct Bytes {
    const char *start;
    std::size_t length;

    rust::Str str() const { return start ? rust::Str(start, length) : rust::Str(); }
};

inline Bytes bytes(pTHX_ SV *value) {
    SV *copy = sv_mortalcopy(value);
    if (!SvOK(copy)) return {nullptr, 0};
    STRLEN length;
    const char *start = SvPVutf8(copy, length);
    return {start, length};
}

// A list of plain data in a mortal, so that a die in the middle leaks nothing.
template <class T> struct Collected {
    const T *start;
    std::size_t count;
};

template <class T> class Collector {
  public:
    explicit Collector(pTHX) : buffer(sv_2mortal(newSVpvs(""))) {}

    void add(pTHX_ const T &item) {
        static_assert(std::is_trivially_copyable_v<T>);
        sv_catpvn(buffer, reinterpret_cast<const char *>(&item), sizeof item);
    }

    Collected<T> collected() const {
        return {reinterpret_cast<const T *>(SvPVX_const(buffer)), SvCUR(buffer) / sizeof(T)};
    }

  private:
    SV *buffer;
};

[[noreturn]] inline void usage(pTHX_ CV *method, int position, const char *wanted) {
    croak("%s: argument %d must be %s", GvNAME(CvGV(method)), position + 1, wanted);
}

inline HV *hash(SV *value) { return SvROK(value) && SvTYPE(SvRV(value)) == SVt_PVHV ? (HV *)SvRV(value) : nullptr; }
inline AV *array(SV *value) { return SvROK(value) && SvTYPE(SvRV(value)) == SVt_PVAV ? (AV *)SvRV(value) : nullptr; }

template <class T> struct Argument;

template <> struct Argument<rust::Str> {
    using Taken = Bytes;
    static Taken take(pTHX_ CV *method, int position, SV *value) {
        Bytes text = bytes(aTHX_ value);
        if (!text.start) usage(aTHX_ method, position, "defined");
        return text;
    }
    struct Made {
        rust::Str value;
        explicit Made(const Taken &taken) : value(taken.str()) {}
    };
};

template <> struct Argument<bool> {
    using Taken = bool;
    static Taken take(pTHX_ CV *, int, SV *value) { return cBOOL(SvTRUE(value)); }
    struct Made {
        bool value;
        explicit Made(Taken taken) : value(taken) {}
    };
};

template <> struct Argument<truenas::Maybe> {
    using Taken = Bytes;
    static Taken take(pTHX_ CV *, int, SV *value) { return bytes(aTHX_ value); }
    struct Made {
        truenas::Maybe value;
        explicit Made(const Taken &taken) : value{taken.start != nullptr, taken.str()} {}
    };
};

template <> struct Argument<truenas::Texts> {
    struct Taken {
        bool present;
        Collected<Bytes> texts;
    };
    static Taken take(pTHX_ CV *method, int position, SV *value) {
        SvGETMAGIC(value);
        Collector<Bytes> texts(aTHX);
        if (!SvOK(value)) return {false, texts.collected()};
        AV *list = array(value);
        if (!list) usage(aTHX_ method, position, "an array reference");
        for (SSize_t i = 0; i <= av_top_index(list); i++) {
            SV **item = av_fetch(list, i, 0);
            Bytes text = item ? bytes(aTHX_ *item) : Bytes{nullptr, 0};
            if (text.start) texts.add(aTHX_ text);
        }
        return {true, texts.collected()};
    }
    struct Made {
        std::vector<truenas::Text> texts;
        truenas::Texts value;
        explicit Made(const Taken &taken) {
            for (std::size_t i = 0; i < taken.texts.count; i++) texts.push_back({taken.texts.start[i].str()});
            value = {taken.present, {texts.data(), texts.size()}};
        }
    };
};

// References and undefined values are nothing that storage.cfg can hold as text: they stay behind.
template <> struct Argument<rust::Slice<const truenas::Pair>> {
    struct Entry {
        Bytes key, value;
    };
    using Taken = Collected<Entry>;
    static Taken take(pTHX_ CV *method, int position, SV *value) {
        SvGETMAGIC(value);
        HV *section = hash(value);
        if (!section) usage(aTHX_ method, position, "a hash reference");
        Collector<Entry> pairs(aTHX);
        hv_iterinit(section);
        while (HE *entry = hv_iternext(section)) {
            SV *item = hv_iterval(section, entry);
            SvGETMAGIC(item);
            if (!SvOK(item) || SvROK(item)) continue;
            Bytes key = bytes(aTHX_ hv_iterkeysv(entry));
            pairs.add(aTHX_ Entry{key, bytes(aTHX_ item)});
        }
        return pairs.collected();
    }
    struct Made {
        std::vector<truenas::Pair> pairs;
        rust::Slice<const truenas::Pair> value;
        explicit Made(const Taken &taken) {
            for (std::size_t i = 0; i < taken.count; i++)
                pairs.push_back({taken.start[i].key.str(), taken.start[i].value.str()});
            value = {pairs.data(), pairs.size()};
        }
    };
};

template <> struct Argument<rust::Slice<const truenas::Neighbour>> {
    struct Triple {
        Bytes storeid, host, dataset;
    };
    using Taken = Collected<Triple>;
    static Bytes field(pTHX_ HV *neighbour, const char *name) {
        SV **value = hv_fetch(neighbour, name, (I32)strlen(name), 0);
        return value ? bytes(aTHX_ *value) : Bytes{nullptr, 0};
    }
    static Taken take(pTHX_ CV *method, int position, SV *value) {
        AV *list = array(value);
        if (!list) usage(aTHX_ method, position, "an array reference");
        Collector<Triple> neighbours(aTHX);
        for (SSize_t i = 0; i <= av_top_index(list); i++) {
            SV **item = av_fetch(list, i, 0);
            HV *one = item ? hash(*item) : nullptr;
            if (!one) usage(aTHX_ method, position, "a list of hash references");
            neighbours.add(
                aTHX_ Triple{field(aTHX_ one, "storeid"), field(aTHX_ one, "host"), field(aTHX_ one, "dataset")});
        }
        return neighbours.collected();
    }
    struct Made {
        std::vector<truenas::Neighbour> neighbours;
        rust::Slice<const truenas::Neighbour> value;
        explicit Made(const Taken &taken) {
            for (std::size_t i = 0; i < taken.count; i++) {
                const Triple &one = taken.start[i];
                neighbours.push_back({one.storeid.str(), one.host.str(), one.dataset.str()});
            }
            value = {neighbours.data(), neighbours.size()};
        }
    };
};

} // namespace native
