package PVE::Storage;

# Stand-in: what qm, pct and pvesm call. Arguments, order of plugin calls and locks as in pve-contract.md.

use v5.36;

use PVE::Cluster;
use PVE::RESTEnvironment;
use PVE::Tools;

# pve-contract.md section 1, the table of releases.
use constant APIVER => $ENV{PVE_STANDIN_APIVER} // 15;
use constant APIAGE => $ENV{PVE_STANDIN_APIAGE} // 6;

use PVE::Storage::DirPlugin;
use PVE::Storage::Plugin;

PVE::Storage::DirPlugin->register();

# pve-contract.md section 1: all of Custom, in the order of readdir, each in an eval; init is in none. Which folder is
# Custom follows @INC here.
sub _custom_files () {
    my %seen;
    for my $folder (grep { !ref } @INC) {
        opendir my $handle, "$folder/PVE/Storage/Custom" or next;
        for my $file (sort grep { /\.pm$/ } readdir $handle) {
            $seen{$1} = 1 if $file =~ /^(\w+\.pm)$/;
        }
        closedir $handle;
    }
    my @files = sort keys %seen;
    return ($ENV{PVE_STANDIN_ORDER} // '') eq 'reverse' ? reverse @files : @files;
}

for my $file (_custom_files()) {
    my $package = 'PVE::Storage::Custom::' . $file =~ s/\.pm$//r;
    my $loaded = eval {
        require "PVE/Storage/Custom/$file";
        die "not derived from PVE::Storage::Plugin\n" if !$package->isa('PVE::Storage::Plugin');
        die "does not provide an api() method\n" if !$package->can('api');
        my $version = $package->api();
        my $oldest = APIVER - APIAGE;
        die "implements an API version newer than current ($version > " . APIVER . ")\n" if $version > APIVER;
        die "API version too old, please update the plugin ($version < $oldest)\n" if $version < $oldest;
        $package->import();
        $package->register();
        warn "Plugin \"$package\" is implementing an older storage API, an upgrade is recommended\n"
            if $version != APIVER;
        1;
    };
    warn "Error loading storage plugin \"$package\": $@" if !$loaded;
}

PVE::Storage::Plugin->init();

sub config () {
    return PVE::Cluster::cfs_read_file('storage.cfg');
}

sub write_config ($cfg) {
    return PVE::Cluster::cfs_write_file('storage.cfg', $cfg);
}

sub lock_storage_config ($code, $errmsg) {
    my $result = eval { PVE::Cluster::cfs_lock_file('storage.cfg', undef, $code) };
    die "$errmsg: $@" if $@;
    return $result;
}

sub storage_config ($cfg, $storeid) {
    return $cfg->{ids}->{ $storeid // '' } // die "storage '" . ($storeid // '') . "' does not exist\n";
}

sub storage_check_enabled ($cfg, $storeid) {
    my $scfg = storage_config($cfg, $storeid);
    die "storage '$storeid' is disabled\n" if $scfg->{disable};
    return $scfg;
}

sub parse_volume_id ($volid) {
    my ($storeid, $volname) = $volid =~ /^([a-z][a-z0-9\-_.]*[a-z0-9]):(.+)$/i
        or die "unable to parse volume ID '$volid'\n";
    return ($storeid, $volname);
}

sub _volume ($cfg, $volid) {
    my ($storeid, $volname) = parse_volume_id($volid);
    my $scfg = storage_config($cfg, $storeid);
    return ($storeid, $volname, $scfg, PVE::Storage::Plugin->lookup($scfg->{type}));
}

# pve-contract.md section 5, "storage life": check_connection before every activation, one cache per chain of calls.
sub activate_storage ($cfg, $storeid, $cache = {}) {
    my $scfg = storage_check_enabled($cfg, $storeid);
    return if $cache->{activated}->{$storeid};
    my $plugin = PVE::Storage::Plugin->lookup($scfg->{type});
    if (!eval { $plugin->check_connection($storeid, $scfg) }) {
        warn $@ if $@;
        die "storage '$storeid' is not online\n";
    }
    $plugin->activate_storage($storeid, $scfg, $cache);
    $cache->{activated}->{$storeid} = 1;
    return;
}

sub deactivate_storage ($cfg, $storeid) {
    my $scfg = storage_config($cfg, $storeid);
    PVE::Storage::Plugin->lookup($scfg->{type})->deactivate_storage($storeid, $scfg, {});
    return;
}

# pve-contract.md section 5, activate_volume and deactivate_volume.
sub activate_volumes ($cfg, $volids, $snapname = undef, $hints = undef) {
    my $cache = {};
    for my $volid (@$volids) {
        my ($storeid, $volname, $scfg, $plugin) = _volume($cfg, $volid);
        activate_storage($cfg, $storeid, $cache);
        $plugin->activate_volume($storeid, $scfg, $volname, $snapname, $cache, $hints);
    }
    return;
}

sub deactivate_volumes ($cfg, $volids, $snapname = undef) {
    my @failed;
    for my $volid (@$volids) {
        my ($storeid, $volname, $scfg, $plugin) = _volume($cfg, $volid);
        next if eval { $plugin->deactivate_volume($storeid, $scfg, $volname, $snapname, {}); 1 };
        warn $@;
        push @failed, $volid;
    }
    die "volume deactivation failed: @failed\n" if @failed;
    return;
}

sub map_volume ($cfg, $volid, $snapname = undef, $hints = undef) {
    my ($storeid, $volname, $scfg, $plugin) = _volume($cfg, $volid);
    return $plugin->map_volume($storeid, $scfg, $volname, $snapname, $hints);
}

sub unmap_volume ($cfg, $volid, $snapname = undef) {
    my ($storeid, $volname, $scfg, $plugin) = _volume($cfg, $volid);
    return $plugin->unmap_volume($storeid, $scfg, $volname, $snapname);
}

# pve-contract.md section 5, path: list context is the usual.
sub path ($cfg, $volid, $snapname = undef) {
    my ($storeid, $volname, $scfg, $plugin) = _volume($cfg, $volid);
    my ($path, $owner, $vtype) = $plugin->path($scfg, $volname, $storeid, $snapname);
    return wantarray ? ($path, $owner, $vtype) : $path;
}

sub _locked ($storeid, $scfg, $plugin, $code) {
    return $plugin->cluster_lock_storage($storeid, $scfg->{shared}, undef, $code);
}

# pve-contract.md section 8: size in KiB, the file mode mask of section 5.
sub vdisk_alloc ($cfg, $storeid, $vmid, $fmt, $name, $size) {
    die "no storage ID specified\n" if !$storeid;
    die "no VMID specified\n" if !$vmid;
    my $scfg = storage_config($cfg, $storeid);
    my $plugin = PVE::Storage::Plugin->lookup($scfg->{type});
    $fmt //= 'raw';
    activate_storage($cfg, $storeid);
    my $volname = _locked(
        $storeid, $scfg, $plugin,
        sub {
            my $mask = umask 0037;
            my $volname = eval { $plugin->alloc_image($storeid, $scfg, $vmid, $fmt, $name, $size) };
            my $error = $@;
            umask $mask;
            die $error if $error;
            return $volname;
        }
    );
    return "$storeid:$volname";
}

# pve-contract.md section 5, free_image: the base check and the method under the lock, its closure in a task after it.
sub vdisk_free ($cfg, $volid) {
    my ($storeid, $volname, $scfg, $plugin) = _volume($cfg, $volid);
    activate_storage($cfg, $storeid);
    my $cleanup = _locked(
        $storeid, $scfg, $plugin,
        sub {
            my (undef, undef, undef, undef, undef, $is_base, $format) = $plugin->parse_volname($volname);
            die "base volume '$volname' is still in use by linked cloned\n"
                if $is_base && _base_is_used($storeid, $volname, $scfg, $plugin);
            my $cleanup = $plugin->free_image($storeid, $scfg, $volname, $is_base, $format);
            return $cleanup;
        }
    );
    PVE::RESTEnvironment->fork_worker('imgdel', undef, 'root@pam', $cleanup) if $cleanup;
    return;
}

sub _base_is_used ($storeid, $volname, $scfg, $plugin) {
    my (undef, $name) = $plugin->parse_volname($volname);
    for my $image ($plugin->list_images($storeid, $scfg)->@*) {
        my (undef, $other) = parse_volume_id($image->{volid});
        my (undef, undef, undef, $base) = eval { $plugin->parse_volname($other) };
        return 1 if defined $base && $base eq $name;
    }
    return 0;
}

# pve-contract.md section 5, list_images: a list of volume ids replaces the filter by guest.
sub vdisk_list ($cfg, $storeid, $vmid = undef, $vollist = undef) {
    my %found;
    for my $id ($storeid ? $storeid : sort keys $cfg->{ids}->%*) {
        my $scfg = storage_config($cfg, $id);
        next if $scfg->{disable};
        activate_storage($cfg, $id);
        my $plugin = PVE::Storage::Plugin->lookup($scfg->{type});
        $found{$id} = $plugin->list_images($id, $scfg, $vmid, $vollist, {});
    }
    return \%found;
}

# pve-contract.md section 5, list_volumes.
sub volume_list ($cfg, $storeid, $vmid = undef, $content = undef) {
    my $scfg = storage_config($cfg, $storeid);
    my @types = $content ? ($content) : qw(images rootdir vztmpl iso backup snippets);
    activate_storage($cfg, $storeid);
    my @wanted = grep { $scfg->{content}->{$_} } @types;
    my $found = PVE::Storage::Plugin->lookup($scfg->{type})->list_volumes($storeid, $scfg, $vmid, \@wanted);
    return [sort { $a->{volid} cmp $b->{volid} } @$found];
}

sub vdisk_clone ($cfg, $volid, $vmid, $snapname = undef) {
    my ($storeid, $volname, $scfg, $plugin) = _volume($cfg, $volid);
    activate_storage($cfg, $storeid);
    my $clone = sub { $plugin->clone_image($scfg, $storeid, $volname, $vmid, $snapname) };
    return "$storeid:" . _locked($storeid, $scfg, $plugin, $clone);
}

sub vdisk_create_base ($cfg, $volid) {
    my ($storeid, $volname, $scfg, $plugin) = _volume($cfg, $volid);
    activate_storage($cfg, $storeid);
    return "$storeid:"
        . _locked($storeid, $scfg, $plugin, sub { $plugin->create_base($storeid, $scfg, $volname) });
}

# pve-contract.md section 5, rename_volume: returns a full volume id.
sub rename_volume ($cfg, $volid, $vmid, $name = undef) {
    my ($storeid, $volname, $scfg, $plugin) = _volume($cfg, $volid);
    activate_storage($cfg, $storeid);
    my $rename = sub { $plugin->rename_volume($scfg, $storeid, $volname, $vmid, $name) };
    return _locked($storeid, $scfg, $plugin, $rename);
}

# pve-contract.md section 5, "volumes": context decides between the size and the list.
sub volume_size_info ($cfg, $volid, $timeout = undef) {
    my ($storeid, $volname, $scfg, $plugin) = _volume($cfg, $volid);
    return $plugin->volume_size_info($scfg, $storeid, $volname, $timeout);
}

# pve-contract.md section 8: bytes, a multiple of 1024.
sub volume_resize ($cfg, $volid, $size, $running = undef) {
    my $padding = $size =~ /^\d+$/ ? (1024 - $size % 1024) % 1024 : 0;
    my ($storeid, $volname, $scfg, $plugin) = _volume($cfg, $volid);
    return $plugin->volume_resize(
        $scfg, $storeid, $volname, $padding ? $size + $padding : $size, $running,
        undef
    );
}

sub volume_snapshot ($cfg, $volid, $snapname) {
    my ($storeid, $volname, $scfg, $plugin) = _volume($cfg, $volid);
    activate_storage($cfg, $storeid);
    return $plugin->volume_snapshot($scfg, $storeid, $volname, $snapname);
}

sub volume_rollback_is_possible ($cfg, $volid, $snapname, $blockers = undef) {
    my ($storeid, $volname, $scfg, $plugin) = _volume($cfg, $volid);
    return $plugin->volume_rollback_is_possible($scfg, $storeid, $volname, $snapname, $blockers);
}

# pve-contract.md section 5: asked again right before.
sub volume_snapshot_rollback ($cfg, $volid, $snapname) {
    my ($storeid, $volname, $scfg, $plugin) = _volume($cfg, $volid);
    $plugin->volume_rollback_is_possible($scfg, $storeid, $volname, $snapname);
    return $plugin->volume_snapshot_rollback($scfg, $storeid, $volname, $snapname);
}

sub volume_snapshot_delete ($cfg, $volid, $snapname, $running = undef) {
    my ($storeid, $volname, $scfg, $plugin) = _volume($cfg, $volid);
    return $plugin->volume_snapshot_delete($scfg, $storeid, $volname, $snapname, $running);
}

sub volume_has_feature ($cfg, $feature, $volid, $snapname = undef, $running = undef, $opts = undef) {
    my ($storeid, $volname, $scfg, $plugin) = _volume($cfg, $volid);
    return $plugin->volume_has_feature($scfg, $feature, $storeid, $volname, $snapname, $running, $opts);
}

# pve-contract.md section 5, volume_export and volume_import: the source's formats decide, import has its own locks.
sub volume_export ($cfg, $handle, $volid, $format, $snapshot = undef, $base = undef, $with = undef) {
    my ($storeid, $volname, $scfg, $plugin) = _volume($cfg, $volid);
    return $plugin->volume_export($scfg, $storeid, $handle, $volname, $format, $snapshot, $base, $with);
}

sub volume_import (
    $cfg, $handle, $volid, $format, $snapshot = undef, $base = undef, $with = undef,
    $rename = undef
    )
{
    my ($storeid, $volname, $scfg, $plugin) = _volume($cfg, $volid);
    return $plugin->volume_import(
        $scfg, $storeid, $handle, $volname, $format, $snapshot, $base, $with,
        $rename
    ) // $volid;
}

# pve-contract.md section 12: what pvestatd and the status page do; an error is a warning and an inactive storage.
sub storage_info ($cfg, $content = undef) {
    my %info;
    for my $storeid (sort keys $cfg->{ids}->%*) {
        my $scfg = storage_config($cfg, $storeid);
        next if defined $content && !$scfg->{content}->{$content};
        my %one = (
            type => $scfg->{type}, enabled => !$scfg->{disable}, active => 0,
            map { $_ => 0 } qw(total avail used)
        );
        $info{$storeid} = \%one;
        next if !$one{enabled};
        if (!eval { activate_storage($cfg, $storeid); 1 }) {
            warn $@;
            next;
        }
        my $plugin = PVE::Storage::Plugin->lookup($scfg->{type});
        my ($total, $available, $used, $active) = eval { $plugin->status($storeid, $scfg, {}) };
        warn $@ if $@;
        next if !$active;
        @one{qw(total avail used active)} = (int $total, int $available, int $used, $active);
    }
    return \%info;
}

1;
