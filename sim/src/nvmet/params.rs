//! The parameters of nvmet.* (truenas-api.md §5.5, truenas-api-versions.md).

use crate::shape::Ty::{Bool, Choice, Int, Nullable, Object, Tagged, Text};
use crate::shape::{Field, ID as NUMBER, INT, NAME, TEXT as STRING, Ty, opt, req};
use crate::versions::Line::V26;

const NQN: Ty = Text(11, super::LONGEST_NQN);
const OPTIONAL_NAME: Ty = Nullable(&NAME);
const OPTIONAL_INT: Ty = Nullable(&INT);
const OPTIONAL_BOOL: Ty = Nullable(&Bool);
const HASH: Ty = Choice(&["SHA-256", "SHA-384", "SHA-512"]);
const GROUP: Ty = Nullable(&Choice(super::dhchap::GROUPS));
const FORCE: Field = opt("options", Object(&[opt("force", Bool)]));

pub const GET: &[Field] = &[req("id", NUMBER), opt("options", Ty::QueryOptions)];
pub const ID: &[Field] = &[req("id", NUMBER)];
pub const FORCED: &[Field] = &[req("id", NUMBER), FORCE];

pub const GLOBAL_UPDATE: &[Field] = &[opt(
    "nvmet_update",
    Object(&[
        opt("basenqn", NQN),
        opt("kernel", Bool),
        opt("ana", Bool),
        opt("rdma", Bool),
        opt("xport_referral", Bool),
    ]),
)];

macro_rules! subsys_fields {
    ($name:expr) => {
        Object(&[
            $name,
            opt("subnqn", Nullable(&NQN)),
            opt("allow_any_host", Bool),
            opt("pi_enable", OPTIONAL_BOOL),
            opt("qid_max", OPTIONAL_INT),
            opt("ieee_oui", Nullable(&STRING)),
            opt("ana", OPTIONAL_BOOL),
        ])
    };
}

pub const SUBSYS_CREATE: &[Field] = &[req("nvmet_subsys_create", subsys_fields!(req("name", NAME)))];
pub const SUBSYS_UPDATE: &[Field] = &[
    req("id", NUMBER),
    req("nvmet_subsys_update", subsys_fields!(opt("name", NAME))),
];

macro_rules! host_fields {
    ($hostnqn:expr) => {
        Object(&[
            $hostnqn,
            opt("description", STRING).since(V26),
            opt("dhchap_key", OPTIONAL_NAME),
            opt("dhchap_ctrl_key", OPTIONAL_NAME),
            opt("dhchap_dhgroup", GROUP),
            opt("dhchap_hash", HASH),
        ])
    };
}

pub const HOST_CREATE: &[Field] = &[req("nvmet_host_create", host_fields!(req("hostnqn", NQN)))];
pub const HOST_UPDATE: &[Field] = &[
    req("id", NUMBER),
    req("nvmet_host_update", host_fields!(opt("hostnqn", NQN))),
];
pub const GENERATE_KEY: &[Field] = &[opt("dhchap_hash", HASH), opt("nqn", Nullable(&STRING))];

const TRANSPORT: Ty = Choice(&["TCP", "RDMA", "FC"]);

macro_rules! port_fields {
    ($need:ident) => {
        Tagged(
            "addr_trtype",
            &[
                ("TCP", ip_port_fields!($need)),
                ("RDMA", ip_port_fields!($need)),
                (
                    "FC",
                    &[
                        $need("addr_trtype", TRANSPORT),
                        $need("addr_traddr", NAME),
                        opt("inline_data_size", OPTIONAL_INT),
                        opt("max_queue_size", OPTIONAL_INT),
                        opt("pi_enable", OPTIONAL_BOOL),
                        opt("enabled", Bool),
                    ],
                ),
            ],
        )
    };
}

macro_rules! ip_port_fields {
    ($need:ident) => {
        &[
            $need("addr_trtype", TRANSPORT),
            $need("addr_traddr", STRING),
            opt("addr_trsvcid", Int(1024, 65_535)),
            opt("inline_data_size", OPTIONAL_INT),
            opt("max_queue_size", OPTIONAL_INT),
            opt("pi_enable", OPTIONAL_BOOL),
            opt("enabled", Bool),
        ]
    };
}

pub const PORT_CREATE: &[Field] = &[req("nvmet_port_create", port_fields!(req))];
pub const PORT_UPDATE: &[Field] = &[req("id", NUMBER), req("nvmet_port_update", port_fields!(opt))];
pub const ADDRESS_CHOICES: &[Field] = &[req("addr_trtype", TRANSPORT), opt("force_ana", Bool)];

const NSID: Ty = Nullable(&Int(1, 0xffff_fffe));

macro_rules! namespace_fields {
    ($need:ident) => {
        Object(&[
            opt("nsid", NSID),
            $need("device_type", Choice(&["ZVOL", "FILE"])),
            $need("device_path", NAME),
            opt("filesize", OPTIONAL_INT),
            opt("enabled", Bool),
            $need("subsys_id", INT),
        ])
    };
}

pub const NAMESPACE_CREATE: &[Field] = &[req("nvmet_namespace_create", namespace_fields!(req))];
pub const NAMESPACE_UPDATE: &[Field] = &[
    req("id", NUMBER),
    req("nvmet_namespace_update", namespace_fields!(opt)),
];
pub const NAMESPACE_DELETE: &[Field] = &[req("id", NUMBER), opt("options", Object(&[opt("remove", Bool)]))];

pub const HOST_LINK_CREATE: &[Field] = &[req(
    "nvmet_host_subsys_create",
    Object(&[req("host_id", INT), req("subsys_id", INT)]),
)];
pub const HOST_LINK_UPDATE: &[Field] = &[
    req("id", NUMBER),
    req(
        "nvmet_host_subsys_update",
        Object(&[opt("host_id", INT), opt("subsys_id", INT)]),
    ),
];
pub const PORT_LINK_CREATE: &[Field] = &[req(
    "nvmet_port_subsys_create",
    Object(&[req("port_id", INT), req("subsys_id", INT)]),
)];
pub const PORT_LINK_UPDATE: &[Field] = &[
    req("id", NUMBER),
    req(
        "nvmet_port_subsys_update",
        Object(&[opt("port_id", INT), opt("subsys_id", INT)]),
    ),
];
