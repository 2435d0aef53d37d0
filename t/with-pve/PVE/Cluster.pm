package PVE::Cluster;

# The file system of a cluster for Proxmox VE's own modules: the stand-in, and what they want besides.

use v5.36;

use Exporter qw(import);
use File::Basename qw(dirname);
use File::Path qw(make_path);

use PVE::INotify;
use PVE::Tools;
use Standin::Cluster;

our @EXPORT_OK = qw(
    cfs_read_file cfs_write_file cfs_register_file cfs_lock_file cfs_lock_storage cfs_lock_domain get_nodelist
);

my %of_folder;

sub folder () { return Standin::Cluster::folder() }
sub use_storage_cfg ($path) { return Standin::Cluster::use_storage_cfg($path) }
sub get_vmlist () { return Standin::Cluster::get_vmlist() }

# As PVE: '/qemu-server/' stands for the files in the folder of that name of each node.
sub cfs_register_file ($name, $parser, $writer) {
    $of_folder{$name} = [$parser, $writer] if $name =~ m{^/};
    return Standin::Cluster::cfs_register_file($name, $parser, $writer);
}

sub _of_folder ($name) {
    my ($kind) = $name =~ m{^nodes/[^/]+(/.*/)[^/]+$} or return;
    return $of_folder{$kind};
}

sub cfs_read_file ($name) {
    my $format = _of_folder($name) // return Standin::Cluster::cfs_read_file($name);
    my $path = folder() . "/$name";
    return -e $path ? $format->[0]->($path, PVE::Tools::file_get_contents($path)) : undef;
}

sub cfs_write_file ($name, $content, @) {
    my $format = _of_folder($name) // return Standin::Cluster::cfs_write_file($name, $content);
    my $path = folder() . "/$name";
    make_path(dirname($path));
    PVE::Tools::file_set_contents($path, $format->[1]->($path, $content));
    return;
}

# Locks of PVE do not die: they leave the error in $@.
sub cfs_lock_file ($name, $timeout, $code, @more) {
    return eval {
        Standin::Cluster::cfs_lock_file($name, $timeout, sub { $code->(@more) });
    };
}

sub cfs_lock_storage ($storeid, $timeout, $code, @more) {
    return eval {
        Standin::Cluster::cfs_lock_storage($storeid, $timeout, sub { $code->(@more) });
    };
}

sub check_cfs_is_mounted (@) { return 1 }
sub check_cfs_quorum (@) { return 1 }
sub cfs_update (@) { return }
sub get_nodelist (@) { return [PVE::INotify::nodename()] }
sub get_clinfo (@) { return {} }
sub get_node_kv (@) { return {} }
sub get_guest_config_property (@) { return {} }

1;
