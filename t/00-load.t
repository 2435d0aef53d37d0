use v5.36;

use Scalar::Util qw(tainted);
use Test::More;

use lib 't/lib';
use TestNode;
use PVE::Storage;

my $class = 'PVE::Storage::Custom::TrueNASPlugin';

is ${^TAINT}, 1, 'taint mode is on';
ok $class->isa('PVE::Storage::Plugin'), 'PVE::Storage loaded the plugin';
is $class->type(), 'truenasplugin', 'it is the type of 1.x and 2.x';
is PVE::Storage::Plugin->lookup('truenasplugin'), $class,
    'the type is registered';
ok PVE::Storage::TrueNAS::Native->can('status'), 'the native library is loaded';

my $data = $class->plugindata();
is_deeply [sort keys $data->{content}->[0]->%*], [qw(images none rootdir)],
    'guests and containers, or nothing';
is_deeply $data->{format}, [{ raw => 1 }, 'raw'], 'raw only';

# Every method of the contract that is not a default fit for us.
my @methods = qw(
    api type plugindata properties options check_config get_identity check_connection activate_storage
    deactivate_storage status parse_volname path filesystem_path qemu_blockdev_options list_images list_volumes
    volume_size_info alloc_image free_image clone_image create_base rename_volume volume_resize volume_snapshot
    volume_snapshot_rollback volume_rollback_is_possible volume_snapshot_delete volume_snapshot_info
    volume_snapshot_needs_fsfreeze volume_has_feature volume_qemu_snapshot_method rename_snapshot activate_volume
    deactivate_volume map_volume unmap_volume volume_export volume_import volume_export_formats
    volume_import_formats storage_can_replicate update_volume_attribute on_add_hook on_update_hook
    on_update_hook_full on_delete_hook
);
ok defined &{"${class}::$_"}, "$_ is ours, not the base class's" for @methods;

done_testing;
