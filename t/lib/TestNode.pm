package TestNode;

# A node of its own for a test: a folder that is /run, /dev and so on, a folder that is /etc/pve, and other perls that see
# the same.

use v5.36;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use IPC::Open3 qw(open3);

our @EXPORT_OK = qw(
    root node_folder etc_folder beside_sim section write_cfg read_cfg run_perl untaint let_memories_age
);

# Nothing of the tester's environment counts, and taint mode wants it so.
delete @ENV{qw(IFS CDPATH ENV BASH_ENV PERL5LIB PERL5OPT)};
$ENV{PATH} = '/usr/sbin:/usr/bin:/sbin:/bin';

sub untaint ($text) {
    my ($clean) = $text =~ /^(.*)$/s;
    return $clean;
}

my $folder = untaint(tempdir('truenas-test-XXXXXX', TMPDIR => 1, CLEANUP => 1));
make_path("$folder/node/run", "$folder/node/dev", "$folder/etc/priv/lock", "$folder/etc/priv/storage");
$ENV{PVETRUENAS_NODE} = "$folder/node";
$ENV{PVETRUENAS_ETC_PVE} = "$folder/etc";

sub root () { return untaint(abs_path('.')) }
sub node_folder () { return "$folder/node" }
sub etc_folder () { return "$folder/etc" }

# A program that was built with the simulator.
sub beside_sim ($name) {
    my ($built) = ($ENV{TRUENAS_SIM} // root() . '/target/debug/truenas-sim') =~ m{^(.*)/[^/]+$}s;
    return untaint($built) . "/$name";
}

# Keys of a section that parses; what is given replaces or adds, undef removes.
sub section (%given) {
    my %section = (
        type => 'truenasplugin',
        api_host => '127.0.0.1',
        api_key => '1-secret',
        dataset => 'tank/proxmox',
        target_iqn => 'iqn.2005-10.org.freenas.ctl:proxmox',
        discovery_portal => '127.0.0.1:3260',
        shared => 1,
        %given,
    );
    delete @section{ grep { !defined $section{$_} } keys %section };
    return \%section;
}

sub write_cfg ($text) {
    open my $file, '>', etc_folder() . '/storage.cfg' or die "storage.cfg: $!";
    print {$file} $text;
    close $file or die "storage.cfg: $!";
    return;
}

sub read_cfg () {
    open my $file, '<', etc_folder() . '/storage.cfg' or die "storage.cfg: $!";
    local $/ = undef;
    return untaint(<$file> // '');
}

# What the node remembers of hosts that did not answer becomes older. Nobody has to wait for it.
sub let_memories_age ($seconds) {
    for my $path (map { untaint($_) } glob node_folder() . '/run/pve-storage-truenas/host/*') {
        open my $in, '<', $path or die "$path: $!";
        local $/ = undef;
        my $text = <$in> =~ s/^(\d+)/$1 - $seconds * 1000/er;
        open my $out, '>', $path or die "$path: $!";
        print {$out} $text;
        close $out or die "$path: $!";
    }
    return;
}

# Runs another perl; options are perl's own. Returns its exit status, output and errors.
sub run_perl (@arguments) {
    open my $in, '<', '/dev/null' or die "/dev/null: $!";
    open my $errors, '+>', undef or die "no temporary file: $!";
    my $pid = open3('<&' . fileno $in, my $out, '>&' . fileno $errors, untaint($^X), @arguments);
    local $/ = undef;
    my $output = <$out> // '';
    waitpid $pid, 0;
    my $status = $?;
    seek $errors, 0, 0;
    my $said = <$errors> // '';
    return ($status >> 8 || $status & 127, $output, $said);
}

1;
