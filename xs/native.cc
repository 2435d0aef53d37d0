// PVE::Storage::TrueNAS::Native: the functions of src/ffi as Perl subs, by the same names and in the same order of arguments.

#include "method.h"

namespace native {

#define METHOD(name) {"PVE::Storage::TrueNAS::Native::" #name, Method<truenas::name>::xsub}

static const struct {
    const char *name;
    XSUBADDR_t xsub;
} methods[] = {
    METHOD(status),
    METHOD(check_connection),
    METHOD(activate_storage),
    METHOD(deactivate_storage),
    METHOD(get_identity),
    METHOD(activate_volume),
    METHOD(deactivate_volume),
    METHOD(parse_volname),
    METHOD(path),
    METHOD(volume_has_feature),
    METHOD(alloc_image),
    METHOD(free_image),
    METHOD(free_image_finish),
    METHOD(list_images),
    METHOD(volume_size_info),
    METHOD(volume_resize),
    METHOD(on_add),
    METHOD(on_update),
    METHOD(on_delete),
#ifdef TRUENAS_FAKE_NODE
    METHOD(selftest),
#endif
};

#undef METHOD

} // namespace native

XS_EXTERNAL(boot_PVE__Storage__TrueNAS__Native) {
    dVAR;
    dXSBOOTARGSXSAPIVERCHK;
    for (const auto &method : native::methods) newXS(method.name, method.xsub, __FILE__);
    native::signals::install(aTHX);
    Perl_xs_boot_epilog(aTHX_ ax);
}
