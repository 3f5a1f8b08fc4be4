/*
 * What Photongate needs of DPDK and cannot call from Rust as it is: static inline functions, macros, and structures
 * whose fields were renamed, moved or added between DPDK 22.11 and 24.11.
 *
 * Functions on the packet path take whole bursts, so that the call is paid once a burst. Fields of a packet buffer are
 * read by Rust itself, at the offsets that this header takes from the installed headers (`enum pg_mbuf_offset`).
 */
#ifndef PHOTONGATE_SHIM_H
#define PHOTONGATE_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_version.h>
#include <rte_eal.h>
#include <rte_lcore.h>
#include <rte_launch.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_malloc.h>
#include <rte_mempool.h>
#include <rte_mbuf.h>
#include <rte_ethdev.h>
#include <rte_ring.h>
#include <rte_rcu_qsbr.h>
#include <rte_ip_frag.h>
#include <rte_telemetry.h>

/* ---- environment ---- */

int pg_errno(void);
uint32_t pg_lcore_id(void);
uint64_t pg_rdtsc(void);

/* Takes a message of DPDK's log: `level` as RTE_LOG_*, `text` not terminated. Called on any thread. */
typedef void (*pg_log_sink)(uint32_t level, const char *text, size_t length);

/* Sends DPDK's log to `sink` from now on. Returns 0, or a negative errno. */
int pg_log_redirect(pg_log_sink sink);

/* Writes out what C's standard output still buffers. */
void pg_flush_stdout(void);

/* ---- packet buffers ---- */

enum pg_mbuf_offset {
	PG_MBUF_BUF_ADDR = offsetof(struct rte_mbuf, buf_addr),
	PG_MBUF_DATA_OFF = offsetof(struct rte_mbuf, data_off),
	PG_MBUF_NB_SEGS = offsetof(struct rte_mbuf, nb_segs),
	PG_MBUF_PORT = offsetof(struct rte_mbuf, port),
	PG_MBUF_OL_FLAGS = offsetof(struct rte_mbuf, ol_flags),
	PG_MBUF_PKT_LEN = offsetof(struct rte_mbuf, pkt_len),
	PG_MBUF_DATA_LEN = offsetof(struct rte_mbuf, data_len),
	PG_MBUF_VLAN_TCI = offsetof(struct rte_mbuf, vlan_tci),
	PG_MBUF_RSS = offsetof(struct rte_mbuf, hash.rss),
	PG_MBUF_BUF_LEN = offsetof(struct rte_mbuf, buf_len),
	PG_MBUF_NEXT = offsetof(struct rte_mbuf, next),
	PG_MBUF_TX_OFFLOAD = offsetof(struct rte_mbuf, tx_offload),
	PG_MBUF_L2_LEN_SHIFT = RTE_MBUF_L2_LEN_OFS,
	PG_MBUF_L3_LEN_SHIFT = RTE_MBUF_L3_LEN_OFS,
};

enum pg_mbuf_size {
	PG_MBUF_DESCRIPTION = sizeof(struct rte_mbuf),
	PG_MBUF_HEADROOM = RTE_PKTMBUF_HEADROOM,
};

/* Flags of `ol_flags`. They are macros that bindgen does not evaluate, but constants it does. */
static const uint64_t PG_RX_VLAN_STRIPPED = RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
static const uint64_t PG_RX_RSS_HASH = RTE_MBUF_F_RX_RSS_HASH;
static const uint64_t PG_RX_IP_CKSUM_MASK = RTE_MBUF_F_RX_IP_CKSUM_MASK;
static const uint64_t PG_RX_IP_CKSUM_BAD = RTE_MBUF_F_RX_IP_CKSUM_BAD;
static const uint64_t PG_RX_IP_CKSUM_GOOD = RTE_MBUF_F_RX_IP_CKSUM_GOOD;
static const uint64_t PG_RX_L4_CKSUM_MASK = RTE_MBUF_F_RX_L4_CKSUM_MASK;
static const uint64_t PG_RX_L4_CKSUM_BAD = RTE_MBUF_F_RX_L4_CKSUM_BAD;
static const uint64_t PG_RX_L4_CKSUM_GOOD = RTE_MBUF_F_RX_L4_CKSUM_GOOD;
static const uint64_t PG_TX_IP_CKSUM = RTE_MBUF_F_TX_IP_CKSUM;
static const uint64_t PG_TX_UDP_CKSUM = RTE_MBUF_F_TX_UDP_CKSUM;
static const uint64_t PG_TX_IPV4 = RTE_MBUF_F_TX_IPV4;
static const uint64_t PG_TX_IPV6 = RTE_MBUF_F_TX_IPV6;

struct rte_mbuf *pg_mbuf_alloc(struct rte_mempool *pool);
int pg_mbuf_alloc_bulk(struct rte_mempool *pool, struct rte_mbuf **mbufs, unsigned int count);
void pg_mbuf_free(struct rte_mbuf *mbuf);

/* ---- ports ---- */

struct pg_port_info {
	char name[RTE_ETH_NAME_MAX_LEN];
	char driver[64];
	uint8_t mac[RTE_ETHER_ADDR_LEN];
	/* -1 when the device belongs to no NUMA node */
	int32_t socket;
	uint16_t mtu;
	uint16_t min_mtu;
	uint16_t max_mtu;
	uint16_t max_rx_queues;
	uint16_t max_tx_queues;
	uint16_t reta_size;
	uint16_t max_rx_descriptors;
	uint16_t max_tx_descriptors;
	uint8_t hash_key_size;
	bool rss_l3;
	bool rx_scatter;
	bool rx_checksum;
	bool tx_ip_checksum;
	bool tx_udp_checksum;
	bool tx_multi_segment;
};

/* What to ask of a port. Every flag must be one that `pg_port_info` reports. */
struct pg_port_conf {
	uint16_t rx_queues;
	uint16_t tx_queues;
	uint16_t mtu;
	/* Toeplitz key over source and destination address; NULL leaves receive-side scaling off */
	const uint8_t *rss_key;
	uint8_t rss_key_length;
	bool rx_scatter;
	bool rx_checksum;
	bool tx_ip_checksum;
	bool tx_udp_checksum;
	bool tx_multi_segment;
};

int pg_port_info(uint16_t port, struct pg_port_info *info);
int pg_port_configure(uint16_t port, const struct pg_port_conf *conf);
int pg_port_rx_queue(uint16_t port, uint16_t queue, uint16_t descriptors, unsigned int socket,
		     struct rte_mempool *pool);
int pg_port_tx_queue(uint16_t port, uint16_t queue, uint16_t descriptors, unsigned int socket);
/* Spreads the `size` entries of the redirection table over `queues` queues in turn. */
int pg_port_spread(uint16_t port, uint16_t size, uint16_t queues);
int pg_port_link(uint16_t port, bool *up, uint32_t *mbit_per_second);

uint16_t pg_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count);
uint16_t pg_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count);
uint16_t pg_tx_prepare(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count);

/* ---- rings of pointers between threads ---- */

/* Many producers, one consumer. */
struct rte_ring *pg_ring_create(const char *name, unsigned int capacity, int socket);
unsigned int pg_ring_enqueue(struct rte_ring *ring, void *const *objects, unsigned int count);
unsigned int pg_ring_dequeue(struct rte_ring *ring, void **objects, unsigned int count);

/* ---- quiescent states ---- */

void pg_qsbr_online(struct rte_rcu_qsbr *qsbr, unsigned int thread);
void pg_qsbr_offline(struct rte_rcu_qsbr *qsbr, unsigned int thread);
void pg_qsbr_quiescent(struct rte_rcu_qsbr *qsbr, unsigned int thread);
uint64_t pg_qsbr_start(struct rte_rcu_qsbr *qsbr);
bool pg_qsbr_check(struct rte_rcu_qsbr *qsbr, uint64_t token);

/* ---- reassembly of IP fragments ---- */

/* Both take the fragment, and return it whole, or NULL when it was kept or given up (then it is on the death row). */
struct rte_mbuf *pg_reassemble_ipv4(struct rte_ip_frag_tbl *table, struct rte_ip_frag_death_row *row,
				    struct rte_mbuf *mbuf, uint16_t l2_length, uint16_t l3_length, uint64_t now);
struct rte_mbuf *pg_reassemble_ipv6(struct rte_ip_frag_tbl *table, struct rte_ip_frag_death_row *row,
				    struct rte_mbuf *mbuf, uint16_t l2_length, uint16_t l3_length, uint64_t now);

/* ---- telemetry ---- */

int pg_telemetry_array_u64(struct rte_tel_data *data);
int pg_telemetry_array_string(struct rte_tel_data *data);
int pg_telemetry_add_array_u64(struct rte_tel_data *data, uint64_t value);
int pg_telemetry_add_dict_u64(struct rte_tel_data *data, const char *name, uint64_t value);

#endif
