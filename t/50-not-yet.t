use v5.36;

use Test::More;

use lib 't/lib';
use TestNode qw(section);
use PVE::Storage;

my $class = 'PVE::Storage::Custom::TrueNASPlugin';

my @later = qw(
    volume_snapshot volume_snapshot_delete volume_snapshot_rollback volume_rollback_is_possible volume_snapshot_info
    rename_snapshot clone_image create_base rename_volume volume_export volume_import update_volume_attribute
);
for my $method (@later) {
    ok !eval { $class->$method('nas1', section(), 'vm-100-disk-0'); 1 }, "$method says that it is missing";
    like $@, qr/^truenasplugin: $method: not yet in version \S+ of pve-storage-truenas\n\z/,
        'with version and name';
}

is_deeply [$class->volume_export_formats(section(), 'nas1', 'vm-100-disk-0')], [], 'nothing can be exported';
is_deeply [$class->volume_import_formats(section(), 'nas1', 'vm-100-disk-0')], [], 'nor imported';
is $class->volume_snapshot_needs_fsfreeze(), 1,
    'containers are frozen for a snapshot: it is taken on the NAS';
is $class->volume_qemu_snapshot_method('nas1', section(), 'vm-100-disk-0'), 'storage',
    'by the storage, not QEMU';
is $class->storage_can_replicate(section(), 'nas1', 'raw'), 0, 'no replication';
is $class->get_volume_attribute(section(), 'nas1', 'vm-100-disk-0', 'notes'), undef, 'no notes';

done_testing;
