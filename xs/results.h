// The bridge's types → Perl values, pushed on a list that the XSUB returns. Only fresh values are made here, so nothing dies.
#pragma once

#include "perl_api.h"

namespace native {

inline SV *text(pTHX_ const rust::String &value) {
    if (value.empty()) return newSVpvs(""); // perl takes a length of 0 for "find out yourself"
    const auto *start = reinterpret_cast<const U8 *>(value.data());
    const bool wide = !is_utf8_invariant_string(start, value.size());
    return newSVpvn_utf8(value.data(), value.size(), wide);
}

// Empty text is what the bridge says for "there is none".
inline SV *text_or_undef(pTHX_ const rust::String &value) { return value.empty() ? newSV(0) : text(aTHX_ value); }
inline SV *number(pTHX_ std::uint64_t value) { return newSVuv(value); }
inline SV *number_if(pTHX_ bool present, std::uint64_t value) { return present ? newSVuv(value) : newSV(0); }
inline SV *truth(pTHX_ bool value) { return newSVsv(boolSV(value)); }

inline void give(pTHX_ AV *out, bool value) { av_push(out, truth(aTHX_ value)); }
inline void give(pTHX_ AV *out, std::uint64_t value) { av_push(out, number(aTHX_ value)); }
inline void give(pTHX_ AV *out, const rust::String &value) { av_push(out, text(aTHX_ value)); }

inline void give(pTHX_ AV *out, const truenas::OwnedMaybe &value) {
    av_push(out, value.present ? text(aTHX_ value.text) : newSV(0));
}

// (total, available, used)
inline void give(pTHX_ AV *out, const truenas::Usage &usage) {
    give(aTHX_ out, usage.total);
    give(aTHX_ out, usage.available);
    give(aTHX_ out, usage.used);
}

// (name, vmid, basename, basevmid, is_base)
inline void give(pTHX_ AV *out, const truenas::ParsedVolname &parsed) {
    give(aTHX_ out, parsed.name);
    av_push(out, number_if(aTHX_ parsed.has_vmid, parsed.vmid));
    give(aTHX_ out, parsed.basename);
    av_push(out, number_if(aTHX_ parsed.has_basevmid, parsed.basevmid));
    give(aTHX_ out, parsed.is_base);
}

// (path, vmid)
inline void give(pTHX_ AV *out, const truenas::VolumePath &found) {
    give(aTHX_ out, found.path);
    av_push(out, number_if(aTHX_ found.has_vmid, found.vmid));
}

// (size, used, parent)
inline void give(pTHX_ AV *out, const truenas::SizeInfo &info) {
    give(aTHX_ out, info.size);
    give(aTHX_ out, info.used);
    av_push(out, text_or_undef(aTHX_ info.parent));
}

inline SV *record(pTHX_ const truenas::SnapshotInfo &snapshot) {
    HV *hash = newHV();
    (void)hv_stores(hash, "name", text(aTHX_ snapshot.name));
    (void)hv_stores(hash, "id", text(aTHX_ snapshot.id));
    (void)hv_stores(hash, "timestamp", number(aTHX_ snapshot.timestamp));
    (void)hv_stores(hash, "ctime", number(aTHX_ snapshot.timestamp));
    (void)hv_stores(hash, "virtual-size", number(aTHX_ snapshot.size));
    if (!snapshot.parent.empty()) (void)hv_stores(hash, "parent", text(aTHX_ snapshot.parent));
    return newRV_noinc((SV *)hash);
}

inline SV *record(pTHX_ const truenas::Image &image) {
    HV *hash = newHV();
    (void)hv_stores(hash, "volid", text(aTHX_ image.volid));
    (void)hv_stores(hash, "size", number(aTHX_ image.size));
    (void)hv_stores(hash, "used", number(aTHX_ image.used));
    (void)hv_stores(hash, "vmid", number(aTHX_ image.vmid));
    (void)hv_stores(hash, "ctime", number(aTHX_ image.ctime));
    if (!image.parent.empty()) (void)hv_stores(hash, "parent", text(aTHX_ image.parent));
    return newRV_noinc((SV *)hash);
}

inline SV *record(pTHX_ const rust::String &value) { return text(aTHX_ value); }

// An array reference.
template <class T> void give(pTHX_ AV *out, const rust::Vec<T> &items) {
    AV *list = newAV();
    if (!items.empty()) av_extend(list, (SSize_t)items.size() - 1);
    for (const T &item : items) av_push(list, record(aTHX_ item));
    av_push(out, newRV_noinc((SV *)list));
}

// (blockers, why not)
inline void give(pTHX_ AV *out, const truenas::Possible &possible) {
    give(aTHX_ out, possible.blockers);
    av_push(out, text_or_undef(aTHX_ possible.refusal));
}

} // namespace native
