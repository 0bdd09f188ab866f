//! The table of every metric this broker exposes: its name, its kind, what it says.

/// One metric, whatever its labels.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) help: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    /// Recorded in microseconds, shown in milliseconds.
    SummaryOfMicroseconds,
    SummaryOfBytes,
}

macro_rules! families {
    ($($id:ident $kind:ident $name:literal $help:literal)+) => {
        $(pub(crate) static $id: Family = Family { name: $name, kind: Kind::$kind, help: $help };)+

        #[cfg(test)]
        pub(crate) static ALL: &[&Family] = &[$(&$id),+];
    };
}

families! {
    // Per topic, and without a label the total of all topics that ever were.
    MESSAGES_IN Counter "kafka_server_brokertopicmetrics_messagesin_total" "Records appended."
    BYTES_IN Counter "kafka_server_brokertopicmetrics_bytesin_total" "Bytes of record batches appended."
    BYTES_OUT Counter "kafka_server_brokertopicmetrics_bytesout_total" "Bytes of record batches sent to consumers."
    BYTES_REJECTED Counter "kafka_server_brokertopicmetrics_bytesrejected_total" "Bytes of record batches refused."
    TOTAL_PRODUCE_REQUESTS Counter "kafka_server_brokertopicmetrics_totalproducerequests_total" "Appends asked for, per partition of a request."
    TOTAL_FETCH_REQUESTS Counter "kafka_server_brokertopicmetrics_totalfetchrequests_total" "Reads asked for, per partition of a request."
    FAILED_PRODUCE_REQUESTS Counter "kafka_server_brokertopicmetrics_failedproducerequests_total" "Appends that failed."
    FAILED_FETCH_REQUESTS Counter "kafka_server_brokertopicmetrics_failedfetchrequests_total" "Reads that failed."
    REPLICATION_BYTES_IN Counter "kafka_server_brokertopicmetrics_replicationbytesin_total" "Bytes fetched from leaders."
    REPLICATION_BYTES_OUT Counter "kafka_server_brokertopicmetrics_replicationbytesout_total" "Bytes sent to followers."
    PRODUCE_CONVERSIONS Counter "kafka_server_brokertopicmetrics_producemessageconversions_total" "Records converted from an old format; never done here."
    FETCH_CONVERSIONS Counter "kafka_server_brokertopicmetrics_fetchmessageconversions_total" "Records converted to an old format; never done here."
    INVALID_MAGIC Counter "kafka_server_brokertopicmetrics_invalidmagicnumberrecords_total" "Batches refused for their format version."
    INVALID_CRC Counter "kafka_server_brokertopicmetrics_invalidmessagecrcrecords_total" "Batches refused for their checksum."
    INVALID_SEQUENCE Counter "kafka_server_brokertopicmetrics_invalidoffsetorsequencerecords_total" "Batches refused for their offsets or sequence numbers."
    NO_KEY_COMPACTED Counter "kafka_server_brokertopicmetrics_nokeycompactedtopicrecords_total" "Batches refused because a compacted topic needs keys."

    UNDER_REPLICATED Gauge "kafka_server_replicamanager_underreplicatedpartitions" "Partitions led here whose in-sync replicas are fewer than their replicas."
    UNDER_MIN_ISR Gauge "kafka_server_replicamanager_underminisrpartitioncount" "Partitions led here whose in-sync replicas are fewer than min.insync.replicas."
    AT_MIN_ISR Gauge "kafka_server_replicamanager_atminisrpartitioncount" "Partitions led here whose in-sync replicas are as many as min.insync.replicas."
    LEADER_COUNT Gauge "kafka_server_replicamanager_leadercount" "Partitions led here."
    PARTITION_COUNT Gauge "kafka_server_replicamanager_partitioncount" "Partitions with a replica here."
    OFFLINE_REPLICA_COUNT Gauge "kafka_server_replicamanager_offlinereplicacount" "Replicas here whose log directory has failed."
    ISR_SHRINKS Counter "kafka_server_replicamanager_isrshrinks_total" "Times that a replica left the in-sync replicas of a partition led here."
    ISR_EXPANDS Counter "kafka_server_replicamanager_isrexpands_total" "Times that a replica joined the in-sync replicas of a partition led here."
    FETCHER_MAX_LAG Gauge "kafka_server_replicafetchermanager_maxlag" "Records that the slowest follower replica here is behind its leader."

    QUOTA_BYTE_RATE Gauge "kafka_server_quota_byte_rate" "Bytes a second of those who share a quota."
    QUOTA_REQUEST_TIME Gauge "kafka_server_quota_request_time" "Percent of a processor's time that those who share a quota took."
    QUOTA_TOKENS Gauge "kafka_server_quota_tokens" "Partitions that those who share a quota may create or delete at once."
    QUOTA_THROTTLE_TIME Gauge "kafka_server_quota_throttle_time" "Milliseconds for which those over a quota were throttled, on average."

    TELEMETRY_INSTANCES Gauge "ottla_client_telemetry_instances" "Client instances that asked for subscriptions or pushed metrics lately (KIP-714)."
    TELEMETRY_PUSHES Counter "ottla_client_telemetry_pushes_total" "Pushes of metrics that were taken."
    TELEMETRY_REFUSED Counter "ottla_client_telemetry_refused_total" "Pushes of metrics that were refused."
    TELEMETRY_BYTES Counter "ottla_client_telemetry_bytes_total" "Bytes of metrics that clients pushed, as they came."
    TELEMETRY_DATA_POINTS Counter "ottla_client_telemetry_datapoints_total" "Data points of metrics that clients pushed."
    TELEMETRY_LEFT_OUT Counter "ottla_client_telemetry_values_left_out_total" "Values without a series, because there are too many."
    TELEMETRY_VALUE Gauge "ottla_client_telemetry_value" "The number that a client pushed last, by the metric's own name."

    ACTIVE_CONTROLLER Gauge "kafka_controller_kafkacontroller_activecontrollercount" "1 on the broker that is the controller."
    OFFLINE_PARTITIONS Gauge "kafka_controller_kafkacontroller_offlinepartitionscount" "Partitions without a leader, as the controller sees them."
    GLOBAL_TOPICS Gauge "kafka_controller_kafkacontroller_globaltopiccount" "Topics, as the controller sees them."
    GLOBAL_PARTITIONS Gauge "kafka_controller_kafkacontroller_globalpartitioncount" "Partitions, as the controller sees them."
    PREFERRED_IMBALANCE Gauge "kafka_controller_kafkacontroller_preferredreplicaimbalancecount" "Partitions not led by their preferred replica."
    ACTIVE_BROKERS Gauge "kafka_controller_kafkacontroller_activebrokercount" "Brokers registered and not fenced."
    FENCED_BROKERS Gauge "kafka_controller_kafkacontroller_fencedbrokercount" "Brokers known and fenced."
    UNCLEAN_ELECTIONS Counter "kafka_controller_controllerstats_uncleanleaderelections_total" "Elections of a leader that was not in sync."

    PARTITION_UNDER_MIN_ISR Gauge "kafka_cluster_partition_underminisr" "1 where the in-sync replicas are fewer than min.insync.replicas."
    PARTITION_AT_MIN_ISR Gauge "kafka_cluster_partition_atminisr" "1 where the in-sync replicas are as many as min.insync.replicas."
    PARTITION_REPLICAS Gauge "kafka_cluster_partition_replicascount" "Replicas of a partition; 0 where it is not led."
    PARTITION_UNDER_REPLICATED Gauge "kafka_cluster_partition_underreplicated" "1 where in-sync replicas are fewer than replicas."
    PARTITION_IN_SYNC_REPLICAS Gauge "kafka_cluster_partition_insyncreplicascount" "In-sync replicas of a partition; 0 where it is not led."
    LOG_SIZE Gauge "kafka_log_log_size" "Bytes of a partition's segments."
    LOG_END_OFFSET Gauge "kafka_log_log_logendoffset" "The offset that the next record will get."
    LOG_START_OFFSET Gauge "kafka_log_log_logstartoffset" "The lowest offset that can be read."
    LOG_SEGMENTS Gauge "kafka_log_log_numlogsegments" "Segments of a partition."
    OFFLINE_LOG_DIRECTORIES Gauge "kafka_log_logmanager_offlinelogdirectorycount" "Log directories that have failed."
    CLEANER_BUFFER_UTILIZATION Gauge "kafka_log_logcleaner_max_buffer_utilization_percent" "How full the maps of the cleaner threads' last rounds were at most."
    CLEANER_RECOPY Gauge "kafka_log_logcleaner_cleaner_recopy_percent" "How much of what the cleaner threads read in their last rounds they wrote again."
    CLEANER_MAX_TIME Gauge "kafka_log_logcleaner_max_clean_time_secs" "Seconds that the longest of the cleaner threads' last rounds took."
    CLEANER_MAX_DELAY Gauge "kafka_log_logcleaner_max_compaction_delay_secs" "Seconds by which max.compaction.lag.ms was exceeded at most, as of the cleaner threads' last rounds."
    CLEANER_DEAD_THREADS Gauge "kafka_log_logcleaner_deadthreadcount" "Cleaner threads that have failed."
    CLEANER_MAX_DIRTY Gauge "kafka_log_logcleanermanager_max_dirty_percent" "How much of the dirtiest compacted log is dirty."
    CLEANER_TIME_SINCE_LAST_RUN Gauge "kafka_log_logcleanermanager_time_since_last_run_ms" "Milliseconds since a cleaner thread last looked for work."
    CLEANER_UNCLEANABLE_PARTITIONS Gauge "kafka_log_logcleanermanager_uncleanable_partitions_count" "Partitions that cannot be cleaned, by log directory."
    CLEANER_UNCLEANABLE_BYTES Gauge "kafka_log_logcleanermanager_uncleanable_bytes" "Bytes to be cleaned of partitions that cannot be, by log directory."
    SCRUBBED_BYTES Counter "ottla_log_scrubbed_bytes_total" "Bytes of logs whose checksums the scrubber has compared."
    SCRUB_ROUND Gauge "ottla_log_scrub_last_round_timestamp_seconds" "When the scrubber had last read all logs; 0 before the first time."
    DAMAGED_BATCHES Gauge "ottla_log_damaged_batches" "Batches of a partition that are damaged and not served."
    DIRECTORY_WRITABLE Gauge "ottla_log_directory_writable" "1 where a log directory takes writes; 0 where it is full, read-only or offline, and producers are refused."
    LOG_FLUSH_TIME SummaryOfMicroseconds "kafka_log_logflushstats_logflushrateandtimems" "Milliseconds that a sync of a log to disk took."

    REQUESTS Counter "kafka_network_requestmetrics_requests_total" "Requests received, by API and version."
    ERRORS Counter "kafka_network_requestmetrics_errors_total" "Error codes answered, by API; successes are not counted."
    TOTAL_TIME SummaryOfMicroseconds "kafka_network_requestmetrics_totaltimems" "Milliseconds from a request's last byte to its response's last byte."
    REQUEST_QUEUE_TIME SummaryOfMicroseconds "kafka_network_requestmetrics_requestqueuetimems" "Milliseconds that a request waited for its turn."
    LOCAL_TIME SummaryOfMicroseconds "kafka_network_requestmetrics_localtimems" "Milliseconds of work in this broker."
    REMOTE_TIME SummaryOfMicroseconds "kafka_network_requestmetrics_remotetimems" "Milliseconds of waiting for disks, replicas or new records."
    RESPONSE_QUEUE_TIME SummaryOfMicroseconds "kafka_network_requestmetrics_responsequeuetimems" "Milliseconds that a response waited for earlier ones."
    RESPONSE_SEND_TIME SummaryOfMicroseconds "kafka_network_requestmetrics_responsesendtimems" "Milliseconds of writing a response to its socket."
    THROTTLE_TIME SummaryOfMicroseconds "kafka_network_requestmetrics_throttletimems" "Milliseconds that a quota held a client back."
    REQUEST_BYTES SummaryOfBytes "kafka_network_requestmetrics_requestbytes" "Bytes of a request."

    NETWORK_PROCESSOR_IDLE Gauge "kafka_network_socketserver_networkprocessoravgidle_percent" "The part of the time (0 to 1) in which the worker threads were idle."
    REQUEST_HANDLER_IDLE Gauge "kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent" "The part of the time (0 to 1) in which the worker threads were idle."
    MEMORY_POOL_USED Gauge "kafka_network_socketserver_memorypoolused" "Bytes of memory that requests in flight hold."
    MEMORY_POOL_AVAILABLE Gauge "kafka_network_socketserver_memorypoolavailable" "Bytes of memory left for requests before sockets are not read."
    CONNECTION_COUNT Gauge "kafka_server_socket_server_metrics_connection_count" "Open connections."
    CONNECTION_CREATION_RATE Gauge "kafka_server_socket_server_metrics_connection_creation_rate" "Connections opened per second over the last half minute."
    CONNECTION_CREATION_TOTAL Counter "kafka_server_socket_server_metrics_connection_creation_total" "Connections opened."
    CONNECTION_CLOSE_RATE Gauge "kafka_server_socket_server_metrics_connection_close_rate" "Connections closed per second over the last half minute."
    CONNECTION_CLOSE_TOTAL Counter "kafka_server_socket_server_metrics_connection_close_total" "Connections closed."
    CONNECTIONS_SOFTWARE Gauge "kafka_server_socket_server_metrics_connections_software" "Open connections by the client software that they named (KIP-511)."
    CONNECTIONS_REJECTED Counter "ottla_connections_rejected_total" "Connections closed on arrival because their address had its share (max.connections.per.ip)."

    PURGATORY_SIZE Gauge "kafka_server_delayedoperationpurgatory_purgatorysize" "Operations held in a purgatory."
    PURGATORY_DELAYED Gauge "kafka_server_delayedoperationpurgatory_numdelayedoperations" "Operations that wait."
    GROUPS Gauge "kafka_coordinator_group_groupmetadatamanager_numgroups" "Groups that this broker coordinates."
    GROUPS_PREPARING Gauge "kafka_coordinator_group_groupmetadatamanager_numgroupspreparingrebalance" "Classic groups whose members are to join again."
    GROUPS_COMPLETING Gauge "kafka_coordinator_group_groupmetadatamanager_numgroupscompletingrebalance" "Classic groups whose leader is to assign."
    GROUPS_STABLE Gauge "kafka_coordinator_group_groupmetadatamanager_numgroupsstable" "Classic groups whose members are at work."
    GROUPS_EMPTY Gauge "kafka_coordinator_group_groupmetadatamanager_numgroupsempty" "Classic groups without members."
    GROUPS_DEAD Gauge "kafka_coordinator_group_groupmetadatamanager_numgroupsdead" "Classic groups that are being removed: none, since removal takes no time."

    GROUP_OFFSETS Gauge "kafka_coordinator_group_groupmetadatamanager_numoffsets" "Offsets committed by groups that this broker coordinates."
    GROUP_MEMBERS Gauge "kafka_consumergroup_members" "Members of a group."
    GROUP_OFFSET Gauge "kafka_consumergroup_current_offset" "The next offset that a group will read, as committed."
    GROUP_OFFSET_SUM Gauge "kafka_consumergroup_current_offset_sum" "The sum over a topic's partitions of what a group has committed."
    GROUP_LAG Gauge "kafka_consumergroup_lag" "Records that a group has yet to read, by what it has committed."
    GROUP_LAG_SUM Gauge "kafka_consumergroup_lag_sum" "Records of a topic that a group has yet to read, by what it has committed."

    FETCH_SESSIONS Gauge "kafka_server_fetchsessioncache_numincrementalfetchsessions" "Fetch sessions cached (KIP-227)."
    FETCH_SESSION_PARTITIONS Gauge "kafka_server_fetchsessioncache_numincrementalfetchpartitionscached" "Partitions in cached fetch sessions."
    FETCH_SESSION_EVICTIONS Counter "kafka_server_fetchsessioncache_incrementalfetchsessionevictions_total" "Fetch sessions evicted for newer ones."
    BROKER_STATE Gauge "kafka_server_kafkaserver_brokerstate" "0 not running, 1 starting, 2 recovery, 3 running, 6 stopping."
    DISK_READ_BYTES Gauge "kafka_server_kafkaserver_linux_disk_read_bytes" "Bytes that this process made devices read."
    DISK_WRITE_BYTES Gauge "kafka_server_kafkaserver_linux_disk_write_bytes" "Bytes that this process made devices write."

    BROKERS Gauge "kafka_brokers" "Brokers in the cluster."
    BROKER_INFO Gauge "kafka_broker_info" "1 for each broker in the cluster."
    TOPIC_PARTITIONS Gauge "kafka_topic_partitions" "Partitions of a topic that are led here."
    TOPIC_CURRENT_OFFSET Gauge "kafka_topic_partition_current_offset" "The offset after the last record that consumers see."
    TOPIC_OLDEST_OFFSET Gauge "kafka_topic_partition_oldest_offset" "The lowest offset that can be read."
    TOPIC_IN_SYNC_REPLICAS Gauge "kafka_topic_partition_in_sync_replica" "In-sync replicas of a partition."
    TOPIC_REPLICAS Gauge "kafka_topic_partition_replicas" "Replicas of a partition."
    TOPIC_LEADER Gauge "kafka_topic_partition_leader" "The broker that leads a partition."
    TOPIC_LEADER_PREFERRED Gauge "kafka_topic_partition_leader_is_preferred" "1 where the preferred replica leads."
    TOPIC_UNDER_REPLICATED Gauge "kafka_topic_partition_under_replicated_partition" "1 where in-sync replicas are fewer than replicas."

    CPU_SECONDS Counter "process_cpu_seconds_total" "Seconds of CPU time."
    OPEN_FDS Gauge "process_open_fds" "Open file descriptors."
    MAX_FDS Gauge "process_max_fds" "The limit of open file descriptors."
    VIRTUAL_MEMORY Gauge "process_virtual_memory_bytes" "Bytes of address space."
    RESIDENT_MEMORY Gauge "process_resident_memory_bytes" "Bytes of memory."
    START_TIME Gauge "process_start_time_seconds" "When the process started, in seconds since the Unix epoch."
    THREADS Gauge "process_threads" "Threads of the process."
    BUILD_INFO Gauge "ottla_build_info" "1, with the version as a label."
}

pub(crate) const FETCH: i16 = 1;

/// What `request="..."` says for each API key: the names of Kafka's message schemas, as of 4.4.
pub(crate) const API_NAMES: [&str; 95] = [
    "Produce",
    "Fetch",
    "ListOffsets",
    "Metadata",
    "LeaderAndIsr",
    "StopReplica",
    "UpdateMetadata",
    "ControlledShutdown",
    "OffsetCommit",
    "OffsetFetch",
    "FindCoordinator",
    "JoinGroup",
    "Heartbeat",
    "LeaveGroup",
    "SyncGroup",
    "DescribeGroups",
    "ListGroups",
    "SaslHandshake",
    "ApiVersions",
    "CreateTopics",
    "DeleteTopics",
    "DeleteRecords",
    "InitProducerId",
    "OffsetForLeaderEpoch",
    "AddPartitionsToTxn",
    "AddOffsetsToTxn",
    "EndTxn",
    "WriteTxnMarkers",
    "TxnOffsetCommit",
    "DescribeAcls",
    "CreateAcls",
    "DeleteAcls",
    "DescribeConfigs",
    "AlterConfigs",
    "AlterReplicaLogDirs",
    "DescribeLogDirs",
    "SaslAuthenticate",
    "CreatePartitions",
    "CreateDelegationToken",
    "RenewDelegationToken",
    "ExpireDelegationToken",
    "DescribeDelegationToken",
    "DeleteGroups",
    "ElectLeaders",
    "IncrementalAlterConfigs",
    "AlterPartitionReassignments",
    "ListPartitionReassignments",
    "OffsetDelete",
    "DescribeClientQuotas",
    "AlterClientQuotas",
    "DescribeUserScramCredentials",
    "AlterUserScramCredentials",
    "Vote",
    "BeginQuorumEpoch",
    "EndQuorumEpoch",
    "DescribeQuorum",
    "AlterPartition",
    "UpdateFeatures",
    "Envelope",
    "FetchSnapshot",
    "DescribeCluster",
    "DescribeProducers",
    "BrokerRegistration",
    "BrokerHeartbeat",
    "UnregisterBroker",
    "DescribeTransactions",
    "ListTransactions",
    "AllocateProducerIds",
    "ConsumerGroupHeartbeat",
    "ConsumerGroupDescribe",
    "ControllerRegistration",
    "GetTelemetrySubscriptions",
    "PushTelemetry",
    "AssignReplicasToDirs",
    "ListConfigResources",
    "DescribeTopicPartitions",
    "ShareGroupHeartbeat",
    "ShareGroupDescribe",
    "ShareFetch",
    "ShareAcknowledge",
    "AddRaftVoter",
    "RemoveRaftVoter",
    "UpdateRaftVoter",
    "InitializeShareGroupState",
    "ReadShareGroupState",
    "WriteShareGroupState",
    "DeleteShareGroupState",
    "ReadShareGroupStateSummary",
    "StreamsGroupHeartbeat",
    "StreamsGroupDescribe",
    "DescribeShareGroupOffsets",
    "AlterShareGroupOffsets",
    "DeleteShareGroupOffsets",
    "StreamsGroupTopologyDescriptionUpdate",
    "UnregisterController",
];
