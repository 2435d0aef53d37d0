package PVE::Storage::Plugin;

# Stand-in: the base class of storage plugins, with the defaults that pve-contract.md sections 5 and 6 list.

use v5.36;

use PVE::Cluster;
use PVE::Tools;

use base qw(PVE::SectionConfig);

our @SHARED_STORAGE = ();

my %boolean = map { $_ => { type => 'boolean', optional => 1 } } qw(disable shared);
my %string = map { $_ => { type => 'string', optional => 1 } } qw(
    type storage nodes content prune-backups subdir format preallocation content-dirs options
);
my %integer = map { $_ => { type => 'integer', optional => 1 } } qw(max-protected-backups port);
my $private =
    { propertyList => { %boolean, %string, %integer }, plugins => {}, options => {}, plugindata => {} };

sub private ($class) { return $private }

PVE::Cluster::cfs_register_file(
    'storage.cfg',
    sub ($filename, $raw) { __PACKAGE__->parse_config($filename, $raw) },
    sub ($filename, $config) { __PACKAGE__->write_config($filename, $config) },
);

sub valid_content_types ($type) {
    my $content = ($private->{plugindata}->{$type} // {})->{content};
    return $content ? $content->[0] : {};
}

# pve-contract.md section 2, plugindata: what the type does not allow is left out; none allows nothing beside it, and says so
# by dying, also while parsing.
sub decode_value ($class, $type, $key, $value) {
    return { map { $_ => 1 } PVE::Tools::split_list($value) } if $key eq 'nodes';
    return $value if $key ne 'content';
    my $valid = valid_content_types($type);
    my %content = map { $_ => 1 } PVE::Tools::split_list($value);
    for my $one (grep { !$valid->{$_} } sort keys %content) {
        warn "storage does not support content type '$one'\n";
        delete $content{$one};
    }
    die "unable to combine 'none' with other content types\n" if $content{none} && keys %content > 1;
    return \%content;
}

sub encode_value ($class, $type, $key, $value) {
    return ref $value eq 'HASH' ? join(',', sort keys %$value) : $value;
}

sub parse_config ($class, $filename, $raw) {
    my $config = $class->SUPER::parse_config($filename, $raw);
    for my $section (grep { defined } values $config->{ids}->%*) {
        $section->{content} //= { $private->{plugindata}->{ $section->{type} }->{content}->[1]->%* };
    }
    return $config;
}

# pve-contract.md section 8, alloc_image with a given name.
sub cluster_lock_storage ($class, $storeid, $shared, $timeout, $code, @args) {
    return PVE::Cluster::cfs_lock_storage($storeid, $timeout, sub { $code->(@args) }) if $shared;
    my $lock = PVE::Cluster::folder() . "/.lock-$storeid";
    return PVE::Tools::lock_file($lock, $timeout // 10, sub { $code->(@args) });
}

# pve-contract.md section 5 "identity and config" and section 2 "Hooks".
sub on_add_hook ($class, @) { return }
sub on_update_hook ($class, @) { return }

sub on_update_hook_full ($class, $storeid, $scfg, $changed, $delete, $secrets) {
    return $class->on_update_hook($storeid, $changed, %$secrets);
}
sub on_delete_hook ($class, @) { return }
sub check_connection ($class, @) { return 1 }
sub get_identity ($class, @) { die "not implemented for storage type '" . $class->type() . "'\n" }

# pve-contract.md section 6: the defaults that need a file system.
sub _needs_path ($class, @) { die "storage definition has no path\n" }
for my $method (
    qw(activate_storage status list_images alloc_image create_base clone_image rename_volume filesystem_path))
{
    no strict 'refs';
    *{$method} = \&_needs_path;
}
sub deactivate_storage ($class, @) { return }
sub activate_volume ($class, @) { return 1 }
sub deactivate_volume ($class, @) { return 1 }
sub unmap_volume ($class, @) { return 1 }

sub map_volume ($class, $storeid, $scfg, $volname, $snapname = undef, @) {
    my ($path) = $class->path($scfg, $volname, $storeid, $snapname);
    return $path;
}
sub volume_rollback_is_possible ($class, @) { return 1 }
sub volume_snapshot_needs_fsfreeze ($class, @) { return 0 }
sub storage_can_replicate ($class, @) { return 0 }
sub get_volume_attribute ($class, @) { return }

sub update_volume_attribute ($class, $scfg, $storeid, $volname, $attribute, @) {
    die "attribute '$attribute' is not supported for storage type '$scfg->{type}'\n";
}
sub volume_export_formats ($class, @) { return }
sub volume_import_formats ($class, @) { return }

# pve-contract.md section 5: the default asks once per content type.
sub list_volumes ($class, $storeid, $scfg, $vmid, $content_types) {
    my $guests = PVE::Cluster::get_vmlist()->{ids};
    my @found;
    for my $type (@$content_types) {
        for my $image ($class->list_images($storeid, $scfg, $vmid)->@*) {
            my $guest = $guests->{ $image->{vmid} // '' } // {};
            $image->{content} = ($guest->{type} // '') eq 'lxc' ? 'rootdir' : 'images';
            push @found, $image if $image->{content} eq $type;
        }
    }
    return \@found;
}

1;
