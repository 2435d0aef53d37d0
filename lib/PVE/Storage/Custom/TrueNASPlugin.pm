package PVE::Storage::Custom::TrueNASPlugin;

use v5.36;

use Scalar::Util qw(refaddr);

use PVE::Cluster;
use PVE::Storage::Plugin;
use PVE::Storage::TrueNAS::Schema;

use base qw(PVE::Storage::Plugin);

our $VERSION = '3.0.0';

# The newest storage API that this plugin was tested with.
my $TESTED_API = 15;

# A node where the library cannot be loaded must still register the type and read its sections, or PVE drops them from
# storage.cfg for the whole cluster. Tried now, not at the first call: a daemon that runs during an upgrade would
# otherwise load a library that does not fit.
my $broken = do {
    local $@ = undef;
    local $SIG{__DIE__} = 'DEFAULT';
    eval { require PVE::Storage::TrueNAS::Native; 1 }
        ? undef
        : 'the native library cannot be loaded: ' . $@ =~ s/\n.*//sr;
};

# Identity

sub type ($class) {
    return 'truenasplugin';
}

# PVE refuses a plugin that claims more than it knows or less than it still supports, and warns of anything but its own.
sub api ($class) {
    my ($newest, $oldest) = _host_api();
    my $spoken = $newest < $TESTED_API ? $newest : $TESTED_API;
    return $spoken < $oldest ? $oldest : $spoken;
}

sub _host_api () {
    return ($TESTED_API, 0) if !PVE::Storage->can('APIVER');
    my $newest = PVE::Storage->can('APIVER')->();
    return ($newest, $newest - PVE::Storage->can('APIAGE')->());
}

sub plugindata ($class) {
    return {
        content => [{ images => 1, rootdir => 1, none => 1 }, { images => 1, rootdir => 1 }],
        format => [{ raw => 1 }, 'raw'],
        'sensitive-properties' => { map { $_ => 1 } PVE::Storage::TrueNAS::Schema::secrets() },
    };
}

# Configuration

our $asking = 0;
my %decided;

# A key that two plugins define stops every PVE tool on the node. SectionConfig asks for properties after all plugins
# have registered, so the others can be asked whatever the order in which they were loaded.
sub properties ($class) {
    my $own = PVE::Storage::TrueNAS::Schema::properties();
    my $private = $class->private();
    return $own if $asking || $private->{propertyIsolation};

    my $others = join ' ', sort keys $private->{plugins}->%*;
    $decided{$others} //= do {
        my $taken = $class->_taken($private);
        [grep { !$taken->{$_} } keys %$own];
    };
    return { $own->%{ $decided{$others}->@* } };
}

# Another plugin may ask us while we ask it; it then hears of all our keys, and the first decision stands.
sub _taken ($class, $private) {
    local $asking = 1;
    my %taken = map { $_ => 1 } keys(($private->{propertyList} // {})->%*);
    for my $other (grep { $_ ne $class } values $private->{plugins}->%*) {
        my $properties = eval { $other->properties() };
        $taken{$_} = 1 for keys(($properties // {})->%*);
    }
    return \%taken;
}

sub options ($class) {
    my %options = map { $_ => { optional => 1 } }
        (qw(nodes disable content shared), PVE::Storage::TrueNAS::Schema::names());

    # A key left to another plugin that nobody has defined after all: lose the key, not the node.
    my $known = $class->private()->{propertyList};
    my $own = $class->properties();
    delete $options{$_} for grep { !$own->{$_} && !$known->{$_} } PVE::Storage::TrueNAS::Schema::names();
    return \%options;
}

# PVE runs this for every section at every read of storage.cfg: a die here takes all storages down.
sub check_config ($class, $storeid, $config, $create, $stored = undef) {
    my $checked = eval { $class->SUPER::check_config($storeid, $config, $create, $stored) };
    if (!$checked) {
        die $@ if !$stored || !$create;
        $checked = $class->_check_each($storeid, $config, $stored);
    }
    $checked->{shared} = 1;
    return $checked;
}

sub _check_each ($class, $storeid, $config, $stored) {
    my %checked = (type => $class->type());
    for my $key (sort keys %$config) {
        my $one = eval { $class->SUPER::check_config($storeid, { $key => $config->{$key} }, 1, $stored) };
        warn "storage '$storeid': $key is ignored: $@" if !$one;
        $checked{$key} = $one->{$key} if $one;
    }
    return \%checked;
}

# Hooks

sub on_add_hook ($class, $storeid, $scfg, %secrets) {
    my $elsewhere = _native('on_add_hook', 'on_add')->($storeid, $scfg, \%secrets, _neighbours($storeid));
    delete $scfg->@{@$elsewhere};
    return;
}

# PVE up to 9.0 tells only what changes.
sub on_update_hook ($class, $storeid, $changed, %secrets) {
    my $current = PVE::Storage::config()->{ids}->{$storeid} // {};
    return $class->on_update_hook_full($storeid, {%$current}, $changed, undef, \%secrets);
}

sub on_update_hook_full ($class, $storeid, $scfg, $changed, $delete, $secrets, @) {
    my @deleted = ($delete // [])->@*;
    my @forgotten = grep { !defined $secrets->{$_} } sort keys %$secrets;
    my %readable = _readable($scfg, $secrets);
    my %merged = (%$scfg, %$changed, %readable);
    delete @merged{ @deleted, grep { !defined $merged{$_} } keys %merged };

    my $update = _native('on_update_hook', 'on_update');
    my $elsewhere = $update->($storeid, \%merged, $changed, \@deleted, $secrets, \@forgotten);
    delete $changed->@{ grep { !defined $scfg->{$_} } @$elsewhere };
    $changed->{$_} = $readable{$_} // '' for keys %readable;    # an empty value is not written
    return;
}

# A secret that stands in storage.cfg stays there, with its new value: other nodes may still run a version that reads it
# only there.
sub _readable ($scfg, $secrets) {
    my %readable;
    for my $key (keys %$secrets) {
        my $bare = $key =~ s/^tn_//r;
        $readable{$_} = $secrets->{$key} for grep { defined $scfg->{$_} } ($bare, "tn_$bare");
    }
    return %readable;
}

sub on_delete_hook ($class, $storeid, $scfg, @) {
    _native('on_delete_hook', 'on_delete')->($storeid, $scfg);
    return;
}

# The other storages of our type: two on one dataset would list each other's volumes.
sub _neighbours ($storeid) {
    my $ids = PVE::Storage::config()->{ids};
    my @others = grep { $_ ne $storeid && ($ids->{$_}->{type} // '') eq __PACKAGE__->type() } sort keys %$ids;
    return [
        map {
            {
                storeid => $_,
                host => PVE::Storage::TrueNAS::Schema::value($ids->{$_}, 'api_host'),
                dataset => PVE::Storage::TrueNAS::Schema::value($ids->{$_}, 'dataset'),
            }
        } @others
    ];
}

# Methods

# What PVE passes, what the native function of the same name takes, and how its answer is given to PVE.
my %FORWARDED = (
    check_connection => ['storeid scfg', 'storeid scfg'],
    deactivate_storage => ['storeid scfg cache', 'storeid scfg', sub { 1 }],
    status => ['storeid scfg cache', 'storeid scfg', sub (@usage) { (@usage, 1) }],
    get_identity => ['scfg storeid', 'storeid scfg'],
    parse_volname => ['volname', 'volname', sub (@parsed) { ('images', @parsed, 'raw') }],
    path => [
        'scfg volname storeid snapname',
        'storeid volname snapname',
        sub ($path, $vmid) { wantarray ? ($path, $vmid, 'images') : $path },
    ],
    alloc_image => ['storeid scfg vmid fmt name size', 'storeid scfg vmid fmt name size'],
    list_images => [
        'storeid scfg vmid vollist cache',
        'storeid scfg vmid vollist',
        sub ($images) { $_->{format} = 'raw' for @$images; return $images },
    ],
    volume_size_info => [
        'scfg storeid volname timeout',
        'storeid scfg volname timeout',
        sub ($size, $used, $parent) { wantarray ? ($size, 'raw', $used, $parent) : $size },
    ],
    volume_resize =>
        ['scfg storeid volname size running snapname', 'storeid scfg volname size running snapname'],
    activate_volume => [
        'storeid scfg volname snapname cache hints',
        'storeid scfg volname snapname',
        sub { 1 },
    ],
    deactivate_volume => ['storeid scfg volname snapname cache', 'storeid scfg volname snapname', sub { 1 }],
    clone_image => ['scfg storeid volname vmid snap', 'storeid scfg volname vmid snap'],
    create_base => ['storeid scfg volname', 'storeid scfg volname'],
    rename_volume => [
        'scfg storeid volname target_vmid target_volname', 'storeid scfg volname target_vmid target_volname'
    ],
    volume_snapshot => ['scfg storeid volname snap', 'storeid scfg volname snap'],
    volume_snapshot_delete => ['scfg storeid volname snap running', 'storeid scfg volname snap'],
    volume_snapshot_rollback => ['scfg storeid volname snap', 'storeid scfg volname snap'],
    volume_snapshot_info => [
        'scfg storeid volname',
        'storeid scfg volname',
        sub ($snapshots) {
            return { map { delete $_->{name} => $_ } @$snapshots };
        },
    ],
    rename_snapshot => ['scfg storeid volname source target', 'storeid scfg volname source target'],
    get_volume_attribute => ['scfg storeid volname attribute', 'storeid scfg volname attribute'],
    update_volume_attribute =>
        ['scfg storeid volname attribute value', 'storeid scfg volname attribute value'],
    volume_has_feature => [
        'scfg feature storeid volname snapname running opts',
        'feature volname snapname',
        sub ($has) { $has ? 1 : undef },
    ],
);

my %CONSTANT = (
    unmap_volume => sub { 1 },
    volume_snapshot_needs_fsfreeze => sub { 1 },
    volume_qemu_snapshot_method => sub { 'storage' },
    storage_can_replicate => sub { 0 },
);

# The native function, or a die that says why there is none.
sub _native ($method, $function = $method) {
    die "truenasplugin: $method: $broken\n" if defined $broken;
    my (undef, $oldest) = _host_api();
    die
        "truenasplugin: $method: this PVE needs storage API $oldest or newer, version $VERSION knows $TESTED_API;"
        . " upgrade pve-storage-truenas\n"
        if $oldest > $TESTED_API;
    return PVE::Storage::TrueNAS::Native->can($function)
        // die "truenasplugin: $method: not in the native library\n";
}

sub _install ($method, $code) {
    no strict 'refs';
    *{$method} = $code;
    return;
}

sub _forward ($method, $takes, $passes, $give = undef) {
    my %position;
    my @names = split ' ', $takes;
    @position{@names} = keys @names;
    my @picked = @position{ split ' ', $passes };
    _install(
        $method,
        sub ($class, @given) {
            my $native = _native($method);
            return $native->(@given[@picked]) if !$give;
            return $give->($native->(@given[@picked]));
        },
    );
    return;
}

_forward($_, $FORWARDED{$_}->@*) for sort keys %FORWARDED;
_install($_, $CONSTANT{$_}) for sort keys %CONSTANT;

my $warned = 0;

sub activate_storage ($class, $storeid, $scfg, @) {
    my @readable = grep { defined $scfg->{$_} } PVE::Storage::TrueNAS::Schema::secrets();
    if (@readable && !$warned++) {
        warn
            "storage '$storeid': $readable[0] stands in storage.cfg, where every administrator of the cluster can read"
            . " it; it still works\n";
    }
    _native('activate_storage')->($storeid, $scfg);
    return 1;
}

# The bounded part happens here, under PVE's lock; the rest in what PVE runs after it.
sub free_image ($class, $storeid, $scfg, $volname, $is_base, $format = undef, @) {
    my $token = _native('free_image')->($storeid, $scfg, $volname, $is_base, $format);
    return if !defined $token;
    return sub { _native('free_image', 'free_image_finish')->($storeid, $scfg, $token) };
}

# PVE shows the blockers as well as the reason.
sub volume_rollback_is_possible ($class, $scfg, $storeid, $volname, $snap, $blockers = undef, @) {
    my ($newer, $refusal) =
        _native('volume_rollback_is_possible')->($storeid, $scfg, $volname, $snap);
    push @$blockers, @$newer if $blockers;
    die "$refusal\n" if defined $refusal;
    return 1;
}

# As PVE before 7.2 called them.
sub get_volume_notes ($class, $scfg, $storeid, $volname, @) {
    return $class->get_volume_attribute($scfg, $storeid, $volname, 'notes');
}

sub update_volume_notes ($class, $scfg, $storeid, $volname, $notes, @) {
    return $class->update_volume_attribute($scfg, $storeid, $volname, 'notes', $notes);
}

sub volume_export_formats ($class, $scfg, $storeid, $volname, $snap, $base, $with_snapshots, @) {
    return _native('volume_export_formats', 'transfer_formats')->($base, $with_snapshots)->@*;
}

sub volume_import_formats ($class, $scfg, $storeid, $volname, $snap, $base, $with_snapshots, @) {
    return _native('volume_import_formats', 'transfer_formats')->($base, $with_snapshots)->@*;
}

sub volume_export ($class, $scfg, $storeid, $fh, $volname, $format, $snap, $base, $with_snapshots, @) {
    _native('volume_export', 'transfer_check')->($format, $base, $with_snapshots);
    _native('volume_export')->($storeid, $scfg, fileno $fh, $volname, $snap);
    return;
}

# Only the making of the volume needs PVE's lock; the data may take hours.
sub volume_import ($class, $scfg, $storeid, $fh, $volname, $format, $snap, $base, $with_snapshots, @rest) {
    my ($allow_rename) = @rest;
    _native('volume_import', 'transfer_check')->($format, $base, $with_snapshots);
    my ($size, $alloc, $fill) = map { _native('volume_import', "volume_import_$_") } qw(size alloc data);
    my $bytes = $size->($storeid, $scfg, fileno $fh, $volname);
    my $made = $class->_locked(
        $storeid, $scfg,
        sub { $alloc->($storeid, $scfg, $volname, $bytes, $allow_rename) }
    );
    return "$storeid:$made" if eval { $fill->($storeid, $scfg, fileno $fh, $made, $bytes); 1 };

    my $error = $@;
    eval { $class->_free($storeid, $scfg, $made); 1 }
        or warn "the volume $storeid:$made of the failed import is still there: $@";
    die $error;
}

sub _locked ($class, $storeid, $scfg, $code) {
    return $class->cluster_lock_storage($storeid, $scfg->{shared}, undef, $code);
}

sub _free ($class, $storeid, $scfg, $volname) {
    my $rest = $class->_locked($storeid, $scfg, sub { $class->free_image($storeid, $scfg, $volname, 0) });
    $rest->() if $rest;
    return;
}

# The default lists once per content type; whose volume it is, only the cluster's guest list knows.
sub list_volumes ($class, $storeid, $scfg, $vmid, $content_types, @) {
    my $images = $class->list_images($storeid, $scfg, $vmid);
    my $guests = PVE::Cluster::get_vmlist()->{ids} // {};
    my %wanted = map { $_ => 1 } @$content_types;
    for my $image (@$images) {
        my $guest = $guests->{ $image->{vmid} // '' } // {};
        $image->{content} = ($guest->{type} // '') eq 'lxc' ? 'rootdir' : 'images';
    }
    return [grep { $wanted{ $_->{content} } } @$images];
}

sub qemu_blockdev_options ($class, $scfg, $storeid, $volname, $machine = undef, $options = undef, @) {
    my $path = $class->path($scfg, $volname, $storeid, ($options // {})->{'snapshot-name'});
    return { driver => 'host_device', filename => $path };
}

# activate_volume has made the device that path names.
sub map_volume ($class, $storeid, $scfg, $volname, $snapname = undef, @) {
    return scalar $class->path($scfg, $volname, $storeid, $snapname);
}

sub filesystem_path ($class, $scfg, $volname, $snapname = undef, @) {
    return $class->path($scfg, $volname, _storeid($scfg), $snapname);
}

# PVE's defaults call filesystem_path without the storage's name.
sub _storeid ($scfg) {
    my $ids = PVE::Storage::config()->{ids};
    my @ours = grep { ($ids->{$_}->{type} // '') eq __PACKAGE__->type() } sort keys %$ids;
    my @same = grep { refaddr($ids->{$_}) == refaddr($scfg) } @ours;
    @same = grep { _place($ids->{$_}) eq _place($scfg) } @ours if !@same;
    die "truenasplugin: filesystem_path: cannot tell which storage this is\n" if @same != 1;
    return $same[0];
}

sub _place ($scfg) {
    return join "\0",
        map { PVE::Storage::TrueNAS::Schema::value($scfg, $_) // '' } qw(api_host api_port dataset);
}

1;

__END__

=head1 NAME

PVE::Storage::Custom::TrueNASPlugin - volumes on a TrueNAS for Proxmox VE

=head1 DESCRIPTION

The storage type C<truenasplugin>. This module is what PVE loads: it names the type and its configuration keys and
forwards every method to L<PVE::Storage::TrueNAS::Native>. Where that cannot be loaded, the type and its configuration
stay, and calling a method dies with the reason.

The keys of a section are described in L<truenasplugin(5)>.

=head1 LICENSE

AGPL-3.0-or-later

=cut
