use v5.36;

use Test::More;

use lib 't/lib';
use TestFakeNode;
use TestNode qw(node_folder untaint);
use TestSim;
use PVE::Storage;

# One process that goes on and on, as pvedaemon's workers and pvestatd do, through Perl and with devices: descriptors and children
# stay as many as they were.
my $class = 'PVE::Storage::Custom::TrueNASPlugin';
my $operations = $ENV{TRUENAS_TEST_FULL} ? 3000 : 300;
my @GUESTS = (100 .. 103);
my $sim = TestSim->start();
my $node = TestFakeNode->start($sim);
my $section = $sim->section();
my %disks;    # each with its snapshots, and whether it is active
my %done;
srand 1;

sub descriptors () {
    opendir my $folder, '/proc/self/fd' or die "fd: $!";
    my @all = grep { /^\d+$/ } readdir $folder;
    return scalar @all;
}

# Without the programs of the test: the NAS and the node. Those that have ended and wait to be asked are among them.
sub children () {
    my @all = map { _read($_) } map { untaint($_) } glob "/proc/$$/task/*/children";
    return scalar split ' ', join ' ', @all;
}

sub _read ($path) {
    open my $file, '<', $path or return '';
    return <$file> // '';
}

sub any (@choices) { return $choices[rand @choices] }

sub alloc () {
    my $disk = $class->alloc_image('nas1', $section, any(@GUESTS), 'raw', undef, 1024);
    $disks{$disk} = { size => 2**20, snapshots => [], number => 0 };
    return;
}

sub snapshot ($disk) {
    my $name = 's' . $disks{$disk}->{number}++;
    $class->volume_snapshot($section, 'nas1', $disk, $name);
    push $disks{$disk}->{snapshots}->@*, $name;
    return;
}

sub unsnapshot ($disk) {
    my $name = shift $disks{$disk}->{snapshots}->@* // return;
    $class->volume_snapshot_delete($section, 'nas1', $disk, $name, 0);
    return;
}

sub roll_back ($disk) {
    my $name = $disks{$disk}->{snapshots}->[-1] // return;
    $class->deactivate_volume('nas1', $section, $disk, undef, {});
    $class->volume_snapshot_rollback($section, 'nas1', $disk, $name);
    $disks{$disk}->{size} = $class->volume_size_info($section, 'nas1', $disk, 5);
    return;
}

sub resize ($disk) {
    $disks{$disk}->{size} += 2**20;
    $class->volume_resize($section, 'nas1', $disk, $disks{$disk}->{size}, 0, undef);
    return;
}

sub free ($disk) {
    my $later = $class->free_image('nas1', $section, $disk, 0);
    $later->() if $later;
    delete $disks{$disk};
    return;
}

# What the plugin refuses is part of a long life too.
sub mistake ($disk) {
    for my $wrong (
        sub { $class->volume_resize($section, 'nas1', $disk, 1, 0, undef) },
        sub { $class->activate_volume('nas1', $section, 'vm-999-disk-9', undef, {}) },
        sub { $class->path($section, 'nonsense', 'nas1') },
        )
    {
        die "not refused\n" if eval { $wrong->(); 1 };
    }
    return;
}

sub interrupted ($disk) {
    local $SIG{USR1} = sub { die "stop\n" };
    eval { kill USR1 => $$; $class->volume_size_info($section, 'nas1', $disk, 5) };
    return;
}

my %verbs = (
    activate => sub ($disk) { $class->activate_volume('nas1', $section, $disk, undef, {}) },
    deactivate => sub ($disk) { $class->deactivate_volume('nas1', $section, $disk, undef, {}) },
    list => sub ($disk) { $class->list_images('nas1', $section) },
    status => sub ($disk) { $class->status('nas1', $section, {}) },
    info => sub ($disk) { $class->volume_snapshot_info($section, 'nas1', $disk) },
    snapshot => \&snapshot,
    unsnapshot => \&unsnapshot,
    roll_back => \&roll_back,
    resize => \&resize,
    free => \&free,
    mistake => \&mistake,
    interrupted => \&interrupted,
);
my @verbs = sort(keys %verbs, qw(activate deactivate activate deactivate));

sub step () {
    return alloc() if keys %disks < 3 || keys %disks < 8 && rand() < 0.2;
    my $verb = any(@verbs);
    $done{$verb}++;
    $verbs{$verb}->(any(sort keys %disks));
    return;
}

# The most that was seen in a part of the time.
my %most;

sub live ($part, $steps) {
    for (1 .. $steps) {
        step();
        my %now = (descriptors => descriptors(), children => children());
        for my $what (keys %now) {
            my $most = \$most{$part}->{$what};
            $$most = $now{$what} if !defined $$most || $now{$what} > $$most;
        }
    }
    return;
}

# Nothing may be lost by perl's own first times: those are over after the first part.
live(first => $operations / 3);
live(last => $operations * 2 / 3);
cmp_ok $most{last}->{$_}, '<=', $most{first}->{$_},
    "no more $_ in the last two thirds of $operations operations than in the first"
    for qw(descriptors children);
is scalar(grep { !$done{$_} } keys %verbs), 0, 'every verb was among them';
note join ', ', map { "$_ $done{$_}" } sort keys %done;
free($_) for sort keys %disks;
is scalar $node->names('sys/class/scsi_disk'), 0, 'no disk is left on the node';
is scalar $node->names('dev/truenas/nas1'), 0, 'nor a link';

# One descriptor in a hundred operations.
my @kept;
for my $operation (1 .. $operations) {
    next if $operation % 100;
    open my $lost, '<', '/dev/null' or die "/dev/null: $!";
    push @kept, $lost;
}
cmp_ok descriptors(), '>', $most{last}->{descriptors}, 'a loss of one in a hundred operations would show';

done_testing;
