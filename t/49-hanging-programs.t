use v5.36;

use File::Path qw(make_path);
use Test::More;
use Time::HiRes qw(sleep time);

use lib 't/lib';
use TestFakeNode;
use TestNode qw(node_folder untaint);
use TestRelay;
use TestSim;
use PVE::Storage;

# Programs of the node that hang, and a NAS that hangs while a guest is started. What is waited for would take 300 s.
my $class = 'PVE::Storage::Custom::TrueNASPlugin';
make_path(node_folder() . '/var/lib/iscsi/nodes');
my $sim = TestSim->start();
my $node = TestFakeNode->start($sim);
my $section = $sim->section(discovery_portal => '127.0.0.1:3260');
my $pids = node_folder() . '/pids';

sub write_program ($name, $text) {
    my $path = node_folder() . "/usr/sbin/$name";
    unlink $path;
    open my $file, '>', $path or die "$path: $!";
    print {$file} "#!/bin/sh\n$text\n";
    close $file or die "$path: $!";
    chmod 0755, $path or die "$path: $!";
    return;
}

sub program ($name) {
    open my $file, '<', node_folder() . "/usr/sbin/$name" or die "$name: $!";
    local $/ = undef;
    return untaint(<$file>) =~ s/^#!.*\n//r;
}

# Those that have ended may still be somebody's to wait for.
sub is_alive ($pid) {
    open my $file, '<', "/proc/$pid/stat" or return 0;
    return <$file> !~ /^\d+ \(.*\) [ZX] /;
}

sub alive () {
    open my $file, '<', $pids or return ();
    return grep { is_alive($_) } map { /^(\d+)$/ ? $1 : () } <$file>;
}

# What was killed needs a moment to be gone; by itself it would stay for 300 s.
sub survivors () {
    my $end = time + 20;
    sleep 0.02 while alive() && time < $end;
    return alive();
}

# Both the program and a child that holds its output.
my $hangs = "echo \$\$ >>$pids; sleep 300 & echo \$! >>$pids; wait";

sub timed ($code) {
    my $started = time;
    my $said = eval { $code->(); 1 } ? 'done' : $@;
    return ($said, time - $started);
}

my $volname = $class->alloc_image('nas1', $section, 100, 'raw', undef, 32 * 1024);
sub activate ($given = $section) { $class->activate_volume('nas1', $given, $volname, undef, {}); return }

my $iscsiadm = program('iscsiadm');

write_program('iscsiadm', $hangs);
my ($said, $seconds) = timed(
    sub {
        local $SIG{ALRM} = sub { die "got timeout\n" };
        alarm 1;
        activate();
    }
);
is $said, "got timeout\n", 'an alarm ends a program that hangs';
cmp_ok $seconds, '<', 6, 'at once';
is_deeply [survivors()], [], 'it is gone with its children';
unlink $pids;

# All but the login end as they should, and leave a child behind that holds their output. The login may take 15 s.
write_program(
    'iscsiadm',
    "case \"\$*\" in *login*) $hangs ;; esac\nsleep 300 & echo \$! >>$pids.left\n$iscsiadm"
);
($said, $seconds) = timed(
    sub {
        local $SIG{ALRM} = sub { die "got timeout\n" };
        alarm 2 if !$ENV{TRUENAS_TEST_FULL};
        activate();
    }
);
if ($ENV{TRUENAS_TEST_FULL}) {
    like $said, qr/iscsiadm .*--login: it did not end within 1\d\.\d s and was killed/,
        'a login that hangs ends with its time, by its name';
    like $said, qr/journalctl -u iscsid/, 'and with what to do';
    cmp_ok $seconds, '<', 60, 'long before it would have ended by itself';
}
is_deeply [survivors()], [], 'nothing of it is left';
rename "$pids.left", $pids or die "$pids: $!";
my @left = alive();
is scalar @left, 3, 'nobody waited for what others had left behind';
kill KILL => @left;
unlink $pids;

write_program('iscsiadm', $iscsiadm);
($said) = timed(\&activate);
is $said, 'done', 'then it works';

# The device is known and there: a guest starts whatever the API does.
my %silent = (deaf => TestRelay->start(mode => 'deaf'), mute => TestRelay->start(mode => 'mute'));
for my $mode (sort keys %silent) {
    my $away = $sim->section(api_port => $silent{$mode}->{port}, discovery_portal => '127.0.0.1:3260');
    my $storage = { ids => { nas1 => $away } };
    $node->started();
    ($said, $seconds) = timed(sub { PVE::Storage::activate_volumes($storage, ["nas1:$volname"]) });
    is $said, 'done', "an API that is $mode: a volume that is active stays so";
    cmp_ok $seconds, '<', 10, 'long before the API would have been given up';
    is PVE::Storage::path($storage, "nas1:$volname"), '/dev/truenas/nas1/vm-100-disk-0', 'and has its path';
    unlink node_folder() . '/dev/truenas/nas1/vm-100-disk-0';
    ($said) = timed(sub { PVE::Storage::activate_volumes($storage, ["nas1:$volname"]) });
    is $said, 'done', 'its path is made anew, as after a start of the node';
    ok -l node_folder() . '/dev/truenas/nas1/vm-100-disk-0', 'and leads to the device';
    is_deeply [$node->started()], [], 'no program was started';
}

# Known, and not there any more: the LUN is scanned for.
$class->deactivate_volume('nas1', $section, $volname, undef, {});
is_deeply [$node->names('sys/class/scsi_disk')], [], 'a device that went';
my $away = $sim->section(api_port => $silent{mute}->{port}, discovery_portal => '127.0.0.1:3260');
($said, $seconds) = timed(sub { activate($away) });
is $said, 'done', 'comes back without the API';
cmp_ok $seconds, '<', 10, 'and without waiting for it';
my $unknown = 'vol-vm-999-disk-0-lun9';
($said, $seconds) = timed(
    sub {
        local $SIG{ALRM} = sub { die "got timeout\n" };
        alarm 1;
        $class->activate_volume('nas1', $away, $unknown, undef, {});
    }
);
is $said, "got timeout\n", 'what is not known has to be asked for';

write_program('multipathd', $hangs);
my $multipath = program('multipath');
write_program('multipath', $hangs);
$class->deactivate_volume('nas1', $section, $volname, undef, {});
my $with_maps = { %$section, use_multipath => 1 };
($said, $seconds) = timed(
    sub {
        local $SIG{ALRM} = sub { die "got timeout\n" };
        alarm 3;
        activate($with_maps);
    }
);
note "multipath: $said";
is_deeply [survivors()], [], 'the same with multipath';
write_program('multipath', $multipath);

done_testing;
