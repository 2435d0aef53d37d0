use v5.36;

use Test::More;

use lib 't/lib';
use TestNode qw(write_cfg section);
use PVE::Storage;

my $class = 'PVE::Storage::Custom::TrueNASPlugin';

write_cfg(<<'CFG');
dir: local
	path /var/lib/vz

truenasplugin: nas1
	api_host 10.0.0.1
	dataset tank/one

truenasplugin: nas2
	tn_api_host 10.0.0.1
	tn_dataset tank/two

CFG
my $ids = PVE::Storage::config()->{ids};

is $class->filesystem_path($ids->{nas1}, 'vm-100-disk-0'), '/dev/truenas/nas1/vm-100-disk-0',
    'the storage is recognised by what its section says';
is $class->filesystem_path($ids->{nas2}, 'vm-100-disk-0', 'before'), '/dev/truenas/nas2/vm-100-disk-0@before',
    'in either spelling';
ok !eval { $class->filesystem_path(section(dataset => 'tank/three'), 'vm-100-disk-0'); 1 },
    'an unknown section';
like $@, qr/^truenasplugin: filesystem_path: cannot tell which storage this is$/, 'is never guessed';

done_testing;
