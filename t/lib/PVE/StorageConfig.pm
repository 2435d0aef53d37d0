package PVE::StorageConfig;

# Stand-in for PVE's API of storage.cfg (add, set, remove), with the calls of the hooks as pve-contract.md section 2 has them.

use v5.36;

use PVE::Storage;

# pve-contract.md section 1: sensitive properties may be declared from API 11 on, before that these names are.
my @LEGACY_SECRETS = qw(encryption-key keyring master-pubkey password);

sub _take_secrets ($type, $parameters, $deleted) {
    my $plugin = PVE::Storage::Plugin->lookup($type);
    my $declared = $plugin->plugindata()->{'sensitive-properties'};
    my @names = PVE::Storage::APIVER >= 11 && $declared ? sort keys %$declared : @LEGACY_SECRETS;
    my %secrets;
    for my $name (@names) {
        $secrets{$name} = delete $parameters->{$name} if defined $parameters->{$name};
        $secrets{$name} = undef if grep { $_ eq $name } @$deleted;
    }
    return \%secrets;
}

sub _check_values ($plugin, $storeid, $parameters) {
    $plugin->check_value($plugin->type(), $_, $parameters->{$_}, $storeid) for sort keys %$parameters;
    return;
}

# pve-contract.md section 2: the hook may change what is written; then the storage is activated once, and a failure takes
# everything back.
sub add ($type, $storeid, %parameters) {
    my $plugin = PVE::Storage::Plugin->lookup($type);
    my $secrets = _take_secrets($type, \%parameters, []);
    my $checked = eval { _check_values($plugin, $storeid, \%parameters); 1 };
    die "400 Parameter verification failed.\n$@" if !$checked;
    return PVE::Storage::lock_storage_config(
        sub {
            my $scfg = $plugin->check_config($storeid, \%parameters, 1, 1);
            my $cfg = PVE::Storage::config();
            die "storage ID '$storeid' already defined\n" if $cfg->{ids}->{$storeid};
            my $returned = $plugin->on_add_hook($storeid, $scfg, %$secrets);
            $cfg->{ids}->{$storeid} = $scfg;
            $scfg->{content} //= { $plugin->plugindata()->{content}->[1]->%* };
            eval { PVE::Storage::activate_storage($cfg, $storeid) if !$scfg->{disable} };
            if (my $error = $@) {
                eval { $plugin->on_delete_hook($storeid, $scfg) };
                warn $@ if $@;
                die $error;
            }
            PVE::Storage::write_config($cfg);
            return $returned;
        },
        'create storage failed',
    );
}

# pve-contract.md section 2: only the changed keys are checked; which hook is called hangs on the claimed api().
sub set ($storeid, $delete, %parameters) {
    return PVE::Storage::lock_storage_config(
        sub {
            my $cfg = PVE::Storage::config();
            my $scfg = PVE::Storage::storage_config($cfg, $storeid);
            my $plugin = PVE::Storage::Plugin->lookup($scfg->{type});
            my $secrets = _take_secrets($scfg->{type}, \%parameters, $delete);
            my $checked = eval { _check_values($plugin, $storeid, \%parameters); 1 };
            die "400 Parameter verification failed.\n$@" if !$checked;
            my $changed = $plugin->check_config($storeid, \%parameters, 0, 1);
            my @plain = grep { !exists $secrets->{$_} } @$delete;

            if (PVE::Storage::APIVER >= 13 && $plugin->api() >= 13) {
                my $gone = @$delete ? \@plain : undef;
                $plugin->on_update_hook_full($storeid, $scfg, $changed, $gone, $secrets);
            } else {
                $plugin->on_update_hook($storeid, $changed, %$secrets);
            }
            delete $scfg->@{@plain};
            $scfg->{$_} = $changed->{$_} for keys %$changed;
            PVE::Storage::write_config($cfg);
            return;
        },
        'update storage failed',
    );
}

# pve-contract.md section 2: the hook first, and deactivate_storage never.
sub remove ($storeid) {
    return PVE::Storage::lock_storage_config(
        sub {
            my $cfg = PVE::Storage::config();
            my $scfg = PVE::Storage::storage_config($cfg, $storeid);
            PVE::Storage::Plugin->lookup($scfg->{type})->on_delete_hook($storeid, $scfg);
            delete $cfg->{ids}->{$storeid};
            PVE::Storage::write_config($cfg);
            return;
        },
        'delete storage failed',
    );
}

1;
