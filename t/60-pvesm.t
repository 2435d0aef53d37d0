use v5.36;

use Test::More;

use lib 't/lib';
use TestNode qw(etc_folder node_folder run_perl write_cfg);
use TestSim;

# Logins of a node are scarce and every command is one: each runs on a node of its own, and the server forgets at once.
my $sim = TestSim->start('limiter-window' => 1);
my $nodes = 0;
write_cfg("dir: local\n\tpath /var/lib/vz\n\tcontent iso\n\n");

sub pvesm (@arguments) {
    my @include = map { "-I$_" } qw(lib blib/lib blib/arch);
    $nodes++;
    return run_perl(
        '-T', @include, 'tools/pvesm', '--cfg', etc_folder() . '/storage.cfg', '--node',
        node_folder() . "/$nodes",
        @arguments
    );
}

my $section = $sim->section();
delete $section->@{qw(type shared)};
my ($status, $output, $said) =
    pvesm('add', 'truenasplugin', 'nas1', map { ("--$_", $section->{$_}) } sort keys %$section);
is_deeply [$status, $output], [0, ''], 'add says nothing' or diag $said;
like $said, qr{\Anode: fake \Q@{[node_folder()]}\E/1\n\z},
    'but the node that it works on, first, beside the output';

($status, $output) = pvesm('status');
like $output, qr/\AName +Type +Status +Total +Used +Available +%\n/, 'status: the head of pvesm\'s table';
like $output, qr/^local +dir +active +\d+ +\d+ +\d+ +\d+\.\d\d%$/m, 'one row a storage';
like $output, qr/^nas1 +truenasplugin +active +10603200320 +\d+ +\d+ +0\.00%$/m, 'KiB';

($status, $output) = pvesm('alloc', 'nas1', '100', '', '1G');
like $output, qr/\Asuccessfully created '(nas1:vol-vm-100-disk-0-lun\d+)'\n\z/,
    'alloc: with a unit, without a name';
my ($volid) = $output =~ /'(.*)'/;

($status, $output) = pvesm('list', 'nas1');
is $output,
    sprintf("%-28s %-7s %-9s %12s %s\n", qw(Volid Format Type Size VMID))
    . sprintf("%-28s %-7s %-9s %12d %s\n", $volid, qw(raw images), 2**30, 100), 'list: pvesm\'s table';

is_deeply [(pvesm('path', $volid))[0, 1]], [0, "/dev/truenas/nas1/vm-100-disk-0\n"], 'path';
is_deeply [(pvesm('size', $volid))[0, 1]], [0, 2**30 . "\n"], 'size in bytes';
is_deeply [(pvesm('resize', $volid, 2**31))[0, 1]], [0, ''], 'resize to bytes';
is_deeply [(pvesm('size', $volid))[0, 1]], [0, 2**31 . "\n"], 'and it is so';

($status, $output, $said) = pvesm('activate', $volid);
is_deeply [$status, $output], [255, ''], 'an error: exit status 255, nothing in the output';
like $said, qr/no iSCSI session to '\S+': portal 127\.0\.0\.1:3260/, 'and the reason beside it';
for my $verb (
    ['nonsense'], ['alloc', 'nas1'], ['free', 'nas2:vm-1-disk-0'],
    ['add', 'truenasplugin', 'x', '--foo', 1]
    )
{
    is((pvesm(@$verb))[0], 255, "@$verb: 255");
}

is_deeply [(pvesm('free', $volid))[0, 1]], [0, "Removed volume '$volid'\n"], 'free';
is_deeply [(pvesm('set', 'nas1', '--disable', 'yes'))[0, 1]], [0, ''], 'set takes yes';
like(
    (pvesm('status'))[1], qr/^nas1 +truenasplugin +disabled +0 +0 +0 +N\/A$/m,
    'a disabled storage has no figures'
);
is_deeply [(pvesm('remove', 'nas1'))[0, 1]], [0, ''], 'remove';
unlike((pvesm('status'))[1], qr/nas1/, 'and it is gone');

done_testing;
