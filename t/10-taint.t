use v5.36;

use Scalar::Util qw(tainted);
use Test::More;

use lib 't/lib';
use TestNode;
use PVE::Storage::TrueNAS::Native;

is ${^TAINT}, 1, 'taint mode is on';

# Empty text that taints what it is joined to.
my $taint = substr $^X . $0 . ($ENV{HOME} // '') . join('', %ENV), 0, 0;
ok tainted($taint), 'there is something tainted';

my @parsed = PVE::Storage::TrueNAS::Native::parse_volname("base-9-disk-0/vm-100-disk-0$taint");
is_deeply \@parsed, ['vm-100-disk-0', 100, 'base-9-disk-0', 9, ''],
    'a tainted name is accepted';
is scalar(grep { tainted($_) } @parsed), 0,
    'and nothing of the answer is tainted';

my @path = PVE::Storage::TrueNAS::Native::path(
    "nas1$taint", "vm-100-disk-0$taint",
    "snap$taint"
);
is_deeply \@path, ['/dev/truenas/nas1/vm-100-disk-0@snap', 100],
    'a path from tainted parts';
is scalar(grep { tainted($_) } @path), 0, 'can go into an exec';

my $has = PVE::Storage::TrueNAS::Native::volume_has_feature(
    "copy$taint",
    "vm-100-disk-0$taint", undef
);
ok !tainted($has), 'truth is not tainted either';

for my $bad (
    '../../etc/passwd', "vm-100-disk-0\n",
    'vm-100-disk-0;reboot', '/dev/sda',
    "vm-100-disk-\x{663}"
    )
{
    ok !eval { PVE::Storage::TrueNAS::Native::path('nas1', $bad, undef); 1 },
        'what is not a name gives no path';
}

done_testing;
