//! The parameters of every method, by version (truenas-api.md §5, truenas-api-versions.md).

use crate::shape::Ty::{Bool, Choice, Either, Int, IntChoice, List, Map, Nullable, Object, Pattern, Tagged};
use crate::shape::{Field, ID as NUMBER, INT, NAME, TEXT as STRING, Ty, opt, req};
use crate::versions::Line::{V25_10, V26};

const OPTIONAL_TEXT: Ty = Nullable(&STRING);
const OPTIONAL_INT: Ty = Nullable(&INT);

pub const NONE: &[Field] = &[];
pub const TEXT: &[Field] = &[req("api_key", STRING)];
pub const ID: &[Field] = &[req("id", NUMBER)];
pub const QUERY: &[Field] = &[opt("filters", Ty::Filters), opt("options", Ty::QueryOptions)];
pub const API_KEY_CREATE: &[Field] = &[req(
    "api_key_create",
    Object(&[
        req("name", NAME),
        req("username", STRING),
        opt("expires_at", Nullable(&Map)),
    ]),
)];
pub const USER_CREATE: &[Field] = &[req(
    "user_create",
    Object(&[
        req("username", NAME),
        req("full_name", NAME),
        opt("uid", OPTIONAL_INT),
        opt("home", STRING),
        opt("shell", STRING),
        opt("smb", Bool),
        opt("group_create", Bool),
        opt("group", OPTIONAL_INT),
        opt("groups", List(&INT)),
        opt("password", OPTIONAL_TEXT),
        opt("password_disabled", Bool),
        opt("ssh_password_enabled", Bool),
        opt("locked", Bool),
        opt("email", OPTIONAL_TEXT),
    ]),
)];
pub const USER_DELETE: &[Field] = &[
    req("id", NUMBER),
    opt("options", Object(&[opt("delete_group", Bool)])),
];
pub const PRIVILEGE_CREATE: &[Field] = &[req(
    "privilege_create",
    Object(&[
        req("name", NAME),
        opt("local_groups", List(&INT)),
        opt("ds_groups", List(&Either(&[INT, STRING]))),
        opt("roles", List(&STRING)),
        req("web_shell", Bool),
    ]),
)];
pub const GET_TEXT: &[Field] = &[req("id", STRING), opt("options", Ty::QueryOptions)];

const LOGIN_OPTIONS: Field = opt(
    "login_options",
    Object(&[opt("user_info", Bool), opt("reconnect_token", Bool).since(V26)]),
);
const MECHANISM: Field = req("mechanism", STRING);

pub const LOGIN_EX: &[Field] = &[req(
    "login_data",
    Tagged(
        "mechanism",
        &[
            (
                "API_KEY_PLAIN",
                &[
                    MECHANISM,
                    req("username", STRING),
                    req("api_key", STRING),
                    LOGIN_OPTIONS,
                ],
            ),
            (
                "PASSWORD_PLAIN",
                &[
                    MECHANISM,
                    req("username", STRING),
                    req("password", STRING),
                    LOGIN_OPTIONS,
                ],
            ),
            ("TOKEN_PLAIN", &[MECHANISM, req("token", STRING), LOGIN_OPTIONS]),
            ("OTP_TOKEN", &[MECHANISM, req("otp_token", STRING), LOGIN_OPTIONS]),
        ],
    ),
)];

// truenas-api.md §1.9: unknown keys are ignored.
pub const CORE_OPTIONS: &[Field] = &[req("options", Map)];

pub const SERVICE_CONTROL: &[Field] = &[
    req("verb", Choice(&["START", "STOP", "RESTART", "RELOAD"])),
    req("service", STRING),
    opt(
        "options",
        Object(&[
            opt("ha_propagate", Bool),
            opt("silent", Bool),
            opt("timeout", OPTIONAL_INT),
        ]),
    ),
];
pub const SERVICE_UPDATE: &[Field] = &[
    req("id_or_name", Either(&[INT, STRING])),
    req("service_update", Object(&[req("enable", Bool)])),
];
pub const SERVICE: &[Field] = &[
    req("service", STRING),
    opt(
        "options",
        Object(&[opt("ha_propagate", Bool), opt("silent", Bool)]),
    ),
];

const USER_PROPERTY: Ty = Object(&[req("key", Pattern(".*:.*")), req("value", TEXT_1024)]);
const USER_PROPERTY_UPDATE: Ty = Object(&[
    req("key", Pattern(".*:.*")),
    opt("value", TEXT_1024),
    opt("remove", Bool),
]);
const ON_OFF: Ty = Choice(&["ON", "OFF", "INHERIT"]);
const SYNC: Ty = Choice(&["STANDARD", "ALWAYS", "DISABLED", "INHERIT"]);
const DEDUPLICATION: Ty = Choice(&["ON", "VERIFY", "OFF", "INHERIT"]);
const SNAPDEV: Ty = Choice(&["HIDDEN", "VISIBLE", "INHERIT"]);
const SNAPDIR: Ty = Choice(&["DISABLED", "VISIBLE", "HIDDEN", "INHERIT"]);
const CHECKSUM: Ty = Choice(&[
    "ON",
    "OFF",
    "FLETCHER2",
    "FLETCHER4",
    "SHA256",
    "SHA512",
    "SKEIN",
    "EDONR",
    "BLAKE3",
    "INHERIT",
]);
const COMPRESSION: Ty = Pattern(
    "^(ON|OFF|LZ4|GZIP|GZIP-1|GZIP-9|ZSTD|ZSTD-FAST|ZLE|LZJB|ZSTD-([1-9]|1[0-9])|ZSTD-FAST-([1-9]|[1-9]0|100|500|1000)|INHERIT)$",
);
const INHERIT: Ty = Choice(&["INHERIT"]);
const PERCENT: Ty = Either(&[Int(0, 100), INHERIT]);
const INT_OR_INHERIT: Ty = Either(&[INT, INHERIT]);
const QUOTA: Ty = Nullable(&Either(&[Int(1 << 30, i64::MAX), IntChoice(&[0])]));
const TEXT_1024: Ty = Ty::Text(0, 1024);
const BLOCKS: Ty = Choice(&["512", "512B", "1K", "2K", "4K", "8K", "16K", "32K", "64K", "128K"]);

/// Fields of every dataset, whether it is made or changed.
macro_rules! dataset_fields {
    ($($more:expr,)*) => {
        &[
            opt("comments", TEXT_1024),
            opt("sync", SYNC),
            opt("snapdev", SNAPDEV),
            opt("compression", COMPRESSION),
            opt("exec", ON_OFF),
            opt("managedby", NAME),
            opt("quota_warning", PERCENT),
            opt("quota_critical", PERCENT),
            opt("refquota_warning", PERCENT),
            opt("refquota_critical", PERCENT),
            opt("reservation", INT),
            opt("refreservation", INT),
            opt("special_small_block_size", INT_OR_INHERIT),
            opt("copies", INT_OR_INHERIT),
            opt("snapdir", SNAPDIR),
            opt("deduplication", DEDUPLICATION),
            opt("checksum", CHECKSUM),
            opt("readonly", ON_OFF),
            opt("create_ancestors", Bool),
            opt("user_properties", List(&USER_PROPERTY)),
            $($more,)*
        ]
    };
}

const SHARE_TYPE: Field = opt(
    "share_type",
    Choice(&["GENERIC", "MULTIPROTOCOL", "NFS", "SMB", "APPS"]),
);
const ACLMODE: Field = opt(
    "aclmode",
    Choice(&["PASSTHROUGH", "RESTRICTED", "DISCARD", "INHERIT"]),
);
const ACLTYPE: Field = opt("acltype", Choice(&["OFF", "NFSV4", "POSIX", "INHERIT"]));

const FILESYSTEM: &[Field] = dataset_fields![
    req("name", NAME),
    opt("type", Choice(&["FILESYSTEM"])),
    SHARE_TYPE,
    opt("encryption", Bool),
    opt("encryption_options", Map),
    opt("inherit_encryption", Bool),
    ACLMODE,
    ACLTYPE,
    opt("atime", ON_OFF),
    opt(
        "casesensitivity",
        Choice(&["SENSITIVE", "INSENSITIVE", "INHERIT"])
    ),
    opt("quota", QUOTA),
    opt("refquota", QUOTA),
    opt("recordsize", STRING),
];

const VOLUME: &[Field] = dataset_fields![
    req("name", NAME),
    opt("type", Choice(&["VOLUME"])),
    SHARE_TYPE,
    opt("encryption", Bool),
    opt("encryption_options", Map),
    opt("inherit_encryption", Bool),
    opt("force_size", Bool),
    opt("sparse", Bool),
    req("volsize", INT),
    opt("volblocksize", BLOCKS),
];

pub const DATASET_CREATE: &[Field] = &[req(
    "pool_dataset_create",
    Tagged("type", &[("FILESYSTEM", FILESYSTEM), ("VOLUME", VOLUME)]),
)];

pub const DATASET_UPDATE: &[Field] = &[
    req("id", STRING),
    req(
        "pool_dataset_update",
        Object(dataset_fields![
            opt("force_size", Bool),
            opt("volsize", INT),
            ACLMODE,
            ACLTYPE,
            opt("atime", ON_OFF),
            opt("quota", QUOTA),
            opt("refquota", QUOTA),
            opt("recordsize", STRING),
            opt("user_properties_update", List(&USER_PROPERTY_UPDATE)),
        ]),
    ),
];
pub const DATASET_DELETE: &[Field] = &[
    req("id", STRING),
    opt("options", Object(&[opt("recursive", Bool), opt("force", Bool)])),
];
pub const DATASET_RENAME: &[Field] = &[
    req("id", NAME),
    req(
        "pool_dataset_rename",
        Object(&[req("new_name", NAME), opt("recursive", Bool), opt("force", Bool)]),
    ),
];

pub const SNAPSHOT_CREATE: &[Field] = &[req(
    "data",
    Object(&[
        req("dataset", NAME),
        opt("name", NAME),
        opt("naming_schema", NAME),
        opt("recursive", Bool),
        opt("exclude", List(&STRING)),
        opt("vmware_sync", Bool),
        opt("suspend_vms", Bool).since(V26),
        opt("properties", Map),
    ]),
)];
pub const SNAPSHOT_DELETE: &[Field] = &[
    req("id", STRING),
    opt("options", Object(&[opt("defer", Bool), opt("recursive", Bool)])),
];
pub const SNAPSHOT_HOLD: &[Field] = &[
    req("id", STRING),
    opt("options", Object(&[opt("recursive", Bool)])),
];
pub const SNAPSHOT_CLONE: &[Field] = &[req(
    "data",
    Object(&[
        req("snapshot", NAME),
        req("dataset_dst", NAME),
        opt("dataset_properties", Map),
    ]),
)];
pub const SNAPSHOT_RENAME: &[Field] = &[
    req("id", NAME),
    req(
        "options",
        Object(&[
            req("new_name", NAME),
            opt("force", Bool),
            opt("recursive", Bool).since(V26),
        ]),
    ),
];
const SNAPSHOT_PROPERTY: Ty = Object(&[req("key", Pattern(".*:.*")), req("value", STRING)]);
pub const SNAPSHOT_UPDATE: &[Field] = &[
    req("id", STRING),
    req(
        "data",
        Object(&[
            opt("user_properties_update", List(&SNAPSHOT_PROPERTY)),
            opt("user_properties_remove", List(&Pattern(".*:.*"))),
        ]),
    ),
];
macro_rules! rollback_fields {
    ($($more:expr)?) => {
        Object(&[
            $($more,)?
            opt("recursive", Bool),
            opt("recursive_clones", Bool),
            opt("force", Bool),
            opt("recursive_rollback", Bool),
        ])
    };
}
pub const SNAPSHOT_ROLLBACK: &[Field] = &[req("id", STRING), opt("options", rollback_fields!())];
pub const DATASET_PROMOTE: &[Field] = &[req("id", STRING)];

pub const RESOURCE_QUERY: &[Field] = &[opt(
    "data",
    Object(&[
        opt("paths", List(&STRING)),
        opt("properties", Nullable(&List(&STRING))),
        opt("get_user_properties", Bool),
        opt("get_source", Bool),
        opt("nest_results", Bool),
        opt("get_children", Bool),
        opt("max_depth", INT).since(V26),
        opt("get_tier", Bool).since(V26),
    ]),
)];
pub const RESOURCE_DESTROY: &[Field] = &[req("data", Object(&[req("path", NAME), opt("recursive", Bool)]))];
pub const RESOURCE_SNAPSHOT_QUERY: &[Field] = &[opt(
    "data",
    Object(&[
        opt("paths", List(&STRING)),
        opt("recursive", Bool),
        opt("properties", Nullable(&List(&STRING))),
        opt("get_user_properties", Bool),
        opt("get_source", Bool),
        opt("get_holds", Bool),
        opt("min_txg", INT),
        opt("max_txg", INT),
    ]),
)];
pub const RESOURCE_SNAPSHOT_COUNT: &[Field] = &[opt(
    "data",
    Object(&[opt("paths", List(&STRING)), opt("recursive", Bool)]),
)];
pub const RESOURCE_SNAPSHOT_DESTROY: &[Field] = &[req(
    "data",
    Object(&[
        req("path", NAME),
        opt("recursive", Bool),
        opt("all_snapshots", Bool),
        opt("defer", Bool),
    ]),
)];
pub const RESOURCE_SNAPSHOT_CREATE: &[Field] = &[req(
    "data",
    Object(&[
        req("dataset", NAME),
        req("name", NAME),
        opt("recursive", Bool),
        opt("exclude", List(&STRING)),
        opt("user_properties", Map),
    ]),
)];
pub const RESOURCE_SNAPSHOT_RENAME: &[Field] = &[req(
    "data",
    Object(&[
        req("current_name", NAME),
        req("new_name", NAME),
        opt("recursive", Bool),
    ]),
)];
pub const RESOURCE_SNAPSHOT_CLONE: &[Field] = &[req(
    "data",
    Object(&[
        req("snapshot", NAME),
        req("dataset", NAME),
        opt("properties", Map),
    ]),
)];
pub const RESOURCE_SNAPSHOT_HOLD: &[Field] = &[req(
    "data",
    Object(&[req("path", NAME), opt("tag", STRING), opt("recursive", Bool)]),
)];
pub const RESOURCE_SNAPSHOT_RELEASE: &[Field] = &[req(
    "data",
    Object(&[
        req("path", NAME),
        opt("tag", OPTIONAL_TEXT),
        opt("recursive", Bool),
    ]),
)];
pub const RESOURCE_SNAPSHOT_HOLDS: &[Field] = &[req("data", Object(&[req("path", NAME)]))];
pub const RESOURCE_SNAPSHOT_ROLLBACK: &[Field] = &[req("data", rollback_fields!(req("path", NAME)))];

const GROUP: Ty = Object(&[
    req("portal", INT),
    opt("initiator", OPTIONAL_INT),
    opt("authmethod", Choice(&["NONE", "CHAP", "CHAP_MUTUAL"])),
    opt("auth", OPTIONAL_INT),
]);

macro_rules! target_fields {
    ($name:expr) => {
        &[
            $name,
            opt("alias", OPTIONAL_TEXT),
            opt("mode", Choice(&["ISCSI", "FC", "BOTH"])),
            opt("groups", List(&GROUP)),
            opt("auth_networks", List(&STRING)),
            opt(
                "iscsi_parameters",
                Nullable(&Object(&[opt(
                    "QueuedCommands",
                    Nullable(&IntChoice(&[32, 128])),
                )])),
            ),
        ]
    };
}

const TARGET_NAME: Ty = Ty::Text(1, 120);
pub const TARGET_CREATE: &[Field] = &[req(
    "iscsi_target_create",
    Object(target_fields!(req("name", TARGET_NAME))),
)];
pub const TARGET_UPDATE: &[Field] = &[
    req("id", NUMBER),
    req(
        "iscsi_target_update",
        Object(target_fields!(opt("name", TARGET_NAME))),
    ),
];
pub const TARGET_DELETE: &[Field] = &[req("id", NUMBER), opt("force", Bool), opt("delete_extents", Bool)];

macro_rules! extent_fields {
    ($name:expr) => {
        &[
            $name,
            opt("type", Choice(&["DISK", "FILE"])),
            opt("disk", OPTIONAL_TEXT),
            opt("serial", OPTIONAL_TEXT),
            opt("path", OPTIONAL_TEXT),
            opt("filesize", Either(&[STRING, INT])),
            opt("blocksize", IntChoice(&[512, 1024, 2048, 4096])),
            opt("pblocksize", Bool),
            opt("avail_threshold", Nullable(&Int(1, 99))),
            opt("comment", STRING),
            opt("insecure_tpc", Bool),
            opt("xen", Bool),
            opt(
                "rpm",
                Choice(&["UNKNOWN", "SSD", "5400", "7200", "10000", "15000"]),
            ),
            opt("ro", Bool),
            opt("enabled", Bool),
            opt("product_id", Nullable(&Ty::Text(1, 16))).since(V25_10),
        ]
    };
}

const EXTENT_NAME: Ty = Ty::Text(1, 64);
pub const EXTENT_CREATE: &[Field] = &[req(
    "iscsi_extent_create",
    Object(extent_fields!(req("name", EXTENT_NAME))),
)];
pub const EXTENT_UPDATE: &[Field] = &[
    req("id", NUMBER),
    req(
        "iscsi_extent_update",
        Object(extent_fields!(opt("name", EXTENT_NAME))),
    ),
];
pub const EXTENT_DELETE: &[Field] = &[req("id", NUMBER), opt("remove", Bool), opt("force", Bool)];

pub const MAPPING_CREATE: &[Field] = &[req(
    "iscsi_target_to_extent_create",
    Object(&[req("target", INT), opt("lunid", OPTIONAL_INT), req("extent", INT)]),
)];
pub const MAPPING_UPDATE: &[Field] = &[
    req("id", NUMBER),
    req(
        "iscsi_target_to_extent_update",
        Object(&[
            opt("id", INT),
            opt("target", INT),
            opt("lunid", INT),
            opt("extent", INT),
        ]),
    ),
];
pub const MAPPING_DELETE: &[Field] = &[req("id", NUMBER), opt("force", Bool)];

pub const PORTAL_CREATE: &[Field] = &[req(
    "iscsi_portal_create",
    Object(&[
        req("listen", List(&Object(&[req("ip", NAME)]))),
        opt("comment", STRING),
    ]),
)];
pub const INITIATOR_CREATE: &[Field] = &[req(
    "iscsi_initiator_create",
    Object(&[opt("initiators", List(&STRING)), opt("comment", STRING)]),
)];
