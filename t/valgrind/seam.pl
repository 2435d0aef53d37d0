use v5.36;

# Calls every function of the XS module with good values, with each kind of bad value in each place, through errors, panics and
# signals. Run by t/19-valgrind.t, which has started a NAS and a node: seam.pl SECTION.json ROUNDS. Prints what it called.

use B ();
use JSON::PP qw(decode_json encode_json);
use Time::HiRes ();

# Without it perl leaves to the kernel what it holds at the end, and valgrind cannot tell what was forgotten.
use Perl::Destruct::Level level => 2;

use PVE::Storage::TrueNAS::Native;

my $PACKAGE = 'PVE::Storage::TrueNAS::Native';
my ($file, $rounds) = @ARGV;
open my $in, '<', $file or die "$file: $!";
my $section = decode_json(do { local $/ = undef; <$in> });
close $in;
my (%good, %refused, @failed);

# DynaLoader's bootstrap is there too.
sub functions () {
    no strict 'refs';
    my @all = grep { /^[a-z]/ && $_ ne 'bootstrap' && defined &{"${PACKAGE}::$_"} } keys %{"${PACKAGE}::"};
    my @sorted = sort grep { B::svref_2object(\&{"${PACKAGE}::$_"})->XSUB } @all;
    return @sorted;
}

sub call ($name, @arguments) {
    no strict 'refs';
    return &{"${PACKAGE}::$name"}(@arguments);
}

# One that has to succeed.
sub good ($name, @arguments) {
    my @said = eval { call($name, @arguments) };
    if ($@) {
        push @failed, "$name: $@";
    } else {
        $good{$name}++;
    }
    return wantarray ? @said : $said[0];
}

# One that has to be refused.
sub bad ($name, @arguments) {
    if (eval { call($name, @arguments); 1 }) {
        push @failed, "$name: not refused";
    } else {
        $refused{$name}++;
    }
    return;
}

{

    package Dying;
    use overload '""' => sub ($self, @) { die "no text\n" };
}
{

    package Speaking;
    use overload '""' => sub ($self, @) { 'vm-100-disk-0' };
}
{

    package Tied;
    sub TIESCALAR ($class) { return bless {}, $class }
    sub FETCH ($self) { return 'vm-100-disk-' . 7 }
}

sub of_a_section () {
    good('on_add', 'nas1', $section, {}, []);
    good('status', 'nas1', $section);
    good('check_connection', 'nas1', $section);
    good('activate_storage', 'nas1', $section);
    good('get_identity', 'nas1', $section);
    good('on_update', 'nas1', $section, {}, [], {}, []);
    return;
}

sub of_a_disk () {
    my @nas = ('nas1', $section);
    my $disk = good('alloc_image', @nas, 100, 'raw', undef, 1024);
    my @on = (@nas, $disk);
    good('list_images', @nas, undef, undef);
    good('list_images', @nas, 100, ["nas1:$disk", 'nas1:vm-9-disk-9']);
    good('activate_volume', @on, undef);
    good('volume_size_info', @on, 5);
    good('volume_resize', @on, 2 * 2**20, 0, undef);
    good('volume_snapshot', @on, $_) for qw(one two);
    good('volume_snapshot_info', @on);
    good('rename_snapshot', @on, 'two', 'three');
    good('volume_rollback_is_possible', @on, 'one');
    good('volume_snapshot_delete', @on, 'three');
    good('volume_snapshot_rollback', @on, 'one');
    good('update_volume_attribute', @on, 'notes', "caf\x{e9} \x{263a}\nand more");
    good('get_volume_attribute', @on, 'notes');
    good('deactivate_volume', @on, undef);
    my $clone = good('clone_image', @on, 101, 'one');
    good('free_image_finish', @nas, good('free_image', @nas, $clone, 0, 'raw'));
    my $renamed = good('rename_volume', @on, 102, undef) =~ s/^nas1://r;
    my $base = good('create_base', @nas, $renamed);
    good('free_image_finish', @nas, good('free_image', @nas, $base, 1, undef));
    return;
}

# What they read and write is on disks, which this node does not have.
sub of_a_stream () {
    my @nas = ('nas1', $section);
    good('transfer_formats', undef, 0);
    good('transfer_check', 'raw+size', undef, 0);
    open my $stream, '+>', undef or die "no temporary file: $!";
    print {$stream} pack('Q<', 1024), 'x' x 1024;
    $stream->flush();
    seek $stream, 0, 0;
    my $bytes = good('volume_import_size', @nas, fileno $stream, 'vm-103-disk-0');
    my $disk = good('volume_import_alloc', @nas, 'vm-103-disk-0', $bytes, 0);
    bad('volume_import_data', @nas, fileno $stream, 'vm-103-disk-9', $bytes);
    bad('volume_export', @nas, fileno $stream, 'vm-103-disk-9', undef);
    good('free_image_finish', @nas, good('free_image', @nas, $disk, 0, 'raw'));
    return;
}

sub of_names () {
    good('parse_volname', 'base-9-disk-0/vm-100-disk-0');
    good('parse_volname', bless {}, 'Speaking');
    tie my $tied, 'Tied';
    good('path', 'nas1', $tied, undef);
    good('volume_has_feature', 'clone', 'base-9-disk-0', undef);
    return;
}

sub of_the_seam () {
    good('selftest', 'echo', "\x{263a}" x 1000);
    good('selftest', 'unwound', '');
    local $SIG{__WARN__} = sub { };
    good('selftest', 'warn', 'caution ' x 100);
    bad('selftest', $_, 'x' x 1000) for qw(error panic unknown);
    my $heard = 0;
    local $SIG{ALRM} = sub { $heard++ };
    Time::HiRes::alarm(0.05);
    good('selftest', 'wait', 0.2);
    push @failed, 'a signal was not heard' if !$heard;

    for my $last (sub { die 'stop ' x 100 }, sub { die { code => 408 } }) {
        local $SIG{ALRM} = $last;
        Time::HiRes::alarm(0.05);
        bad('selftest', 'wait', 5);
    }
    return;
}

# Each kind in each place, and in all of them.
my @BAD = (
    undef, '', 'x', "\x{d800}", "a\0b", -1, 1e300, [], {}, [[]], { x => [] }, \1, sub { }, *STDOUT, qr/x/,
    bless({}, 'Dying'), 'y' x 100_000,
);

sub every_bad_value ($name) {
    for my $value (@BAD) {
        for my $count (0 .. 7) {
            eval { call($name, ($value) x $count) } || $refused{$name}++;
        }
        for my $place (0 .. 5) {
            my @arguments = ('nas1', {}, ('x') x 4);
            $arguments[$place] = $value;
            for my $count (2 .. 6) {
                eval { call($name, @arguments[0 .. $count - 1]) } || $refused{$name}++;
            }
        }
    }
    return;
}

my @functions = functions();
for (1 .. $rounds) {
    $_->() for \(&of_a_section, &of_a_disk, &of_a_stream, &of_names, &of_the_seam);
    good('deactivate_storage', 'nas1', $section);
    local $SIG{__WARN__} = sub { };
    every_bad_value($_) for grep { $_ ne 'selftest' } @functions;
    good('on_delete', 'nas1', $section);
}
my @untouched = grep { !$good{$_} } @functions;
my $sum = 0;
$sum += $_ for values %good, values %refused;
print encode_json(
    { functions => scalar @functions, calls => $sum, untouched => \@untouched, failed => \@failed }),
    "\n";
