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
    METHOD(clone_image),
    METHOD(create_base),
    METHOD(rename_volume),
    METHOD(volume_snapshot),
    METHOD(volume_snapshot_delete),
    METHOD(volume_snapshot_rollback),
    METHOD(volume_rollback_is_possible),
    METHOD(volume_snapshot_info),
    METHOD(rename_snapshot),
    METHOD(get_volume_attribute),
    METHOD(update_volume_attribute),
    METHOD(transfer_formats),
    METHOD(transfer_check),
    METHOD(volume_export),
    METHOD(volume_import_size),
    METHOD(volume_import_alloc),
    METHOD(volume_import_data),
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
