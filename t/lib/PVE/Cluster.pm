package PVE::Cluster;

# Stand-in: the cluster's files, guest list and locks, in one folder.

use v5.36;

use File::Basename qw(dirname);
use File::Path qw(make_path);

use PVE::Tools;
use TestLock qw(with_flock);

# The folder that is /etc/pve, and the name of storage.cfg in it.
my ($folder) = ($ENV{PVETRUENAS_ETC_PVE} // '/etc/pve') =~ /^(.+)$/s;
my $storage_cfg = 'storage.cfg';

sub use_storage_cfg ($path) {
    $folder = dirname($path);
    ($storage_cfg) = $path =~ m{([^/]+)$};
    return;
}

sub folder () {
    return $folder;
}

my %format;

sub cfs_register_file ($name, $parser, $writer) {
    $format{$name} = [$parser, $writer];
    return;
}

sub _path ($name) {
    return "$folder/" . ($name eq 'storage.cfg' ? $storage_cfg : $name);
}

# pve-contract.md section 2, "Parsing": PVE caches by version; here every read is fresh.
sub cfs_read_file ($name) {
    my $path = _path($name);
    my $raw = -e $path ? PVE::Tools::file_get_contents($path) : '';
    return $format{$name}->[0]->($path, $raw);
}

sub cfs_write_file ($name, $content) {
    PVE::Tools::file_set_contents(_path($name), $format{$name}->[1]->(_path($name), $content));
    return;
}

# pve-contract.md section 5, list_volumes: whose guest a number is.
sub get_vmlist () {
    my %ids;
    for my $conf (glob "'$folder'/nodes/*/{qemu-server,lxc}/*.conf") {
        my ($node, $kind, $vmid) = $conf =~ m{/nodes/([^/]+)/(qemu-server|lxc)/(\d+)\.conf$} or next;
        $ids{$vmid} = { node => $node, type => $kind eq 'lxc' ? 'lxc' : 'qemu' };
    }
    return { version => 1, ids => \%ids };
}

# pve-contract.md section 4: 10 s to get the lock, then 60 s for the code, which dies wherever it is.
sub _cfs_lock ($id, $timeout, $code) {
    make_path("$folder/priv/lock");
    my $run = sub {
        local $SIG{ALRM} = sub { die "'$id'-locked command timed out - aborting\n" };
        my $outer = alarm 60;
        my @result = eval { $code->() };
        my $error = $@;
        alarm 0;
        alarm $outer if $outer;
        die $error if $error;
        return wantarray ? @result : $result[-1];
    };
    my $late = "cfs-lock '$id' error: got lock request timeout\n";
    return with_flock("$folder/priv/lock/$id", $timeout // 10, $run, $late);
}

sub cfs_lock_storage ($storeid, $timeout, $code) {
    return _cfs_lock("storage-$storeid", $timeout, $code);
}

sub cfs_lock_file ($name, $timeout, $code) {
    return _cfs_lock("file-$name" =~ tr/./_/r, $timeout, $code);
}

1;
