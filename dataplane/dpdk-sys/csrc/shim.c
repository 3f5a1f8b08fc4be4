#define _GNU_SOURCE

#include "shim.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#include <rte_ip.h>

/* ---- environment ---- */

int pg_errno(void)
{
	return rte_errno;
}

uint32_t pg_lcore_id(void)
{
	return rte_lcore_id();
}

uint64_t pg_rdtsc(void)
{
	return rte_rdtsc();
}

static pg_log_sink log_sink;

static ssize_t log_write(void *cookie, const char *text, size_t length)
{
	(void)cookie;
	log_sink((uint32_t)rte_log_cur_msg_loglevel(), text, length);
	return (ssize_t)length;
}

int pg_log_redirect(pg_log_sink sink)
{
	cookie_io_functions_t functions = { .write = log_write };
	FILE *stream;

	log_sink = sink;
	stream = fopencookie(NULL, "w", functions);
	if (stream == NULL)
		return -errno;
	return rte_openlog_stream(stream);
}

void pg_flush_stdout(void)
{
	fflush(stdout);
}

/* ---- packet buffers ---- */

struct rte_mbuf *pg_mbuf_alloc(struct rte_mempool *pool)
{
	return rte_pktmbuf_alloc(pool);
}

int pg_mbuf_alloc_bulk(struct rte_mempool *pool, struct rte_mbuf **mbufs, unsigned int count)
{
	return rte_pktmbuf_alloc_bulk(pool, mbufs, count);
}

void pg_mbuf_free(struct rte_mbuf *mbuf)
{
	rte_pktmbuf_free(mbuf);
}

/* ---- ports ---- */

static const uint64_t rss_l3 = RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_IPV6;
static const uint64_t rx_checksum = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM;

static bool has_all(uint64_t capabilities, uint64_t wanted)
{
	return (capabilities & wanted) == wanted;
}

int pg_port_info(uint16_t port, struct pg_port_info *info)
{
	struct rte_eth_dev_info dev;
	struct rte_ether_addr mac;
	int status;

	memset(info, 0, sizeof(*info));
	memset(&dev, 0, sizeof(dev));
	status = rte_eth_dev_info_get(port, &dev);
	if (status != 0)
		return status;
	status = rte_eth_dev_get_name_by_port(port, info->name);
	if (status != 0)
		return status;
	status = rte_eth_macaddr_get(port, &mac);
	if (status != 0)
		return status;
	status = rte_eth_dev_get_mtu(port, &info->mtu);
	if (status != 0)
		return status;

	memcpy(info->mac, mac.addr_bytes, sizeof(info->mac));
	snprintf(info->driver, sizeof(info->driver), "%s", dev.driver_name != NULL ? dev.driver_name : "");
	info->socket = rte_eth_dev_socket_id(port);
	info->min_mtu = dev.min_mtu;
	info->max_mtu = dev.max_mtu;
	info->max_rx_queues = dev.max_rx_queues;
	info->max_tx_queues = dev.max_tx_queues;
	info->reta_size = dev.reta_size;
	info->max_rx_descriptors = dev.rx_desc_lim.nb_max;
	info->max_tx_descriptors = dev.tx_desc_lim.nb_max;
	info->hash_key_size = dev.hash_key_size;
	/* A device without a redirection table spreads packets by a rule of its own, whatever types it claims (net_tap). */
	info->rss_l3 = dev.reta_size != 0 && has_all(dev.flow_type_rss_offloads, rss_l3);
	info->rx_scatter = has_all(dev.rx_offload_capa, RTE_ETH_RX_OFFLOAD_SCATTER);
	info->rx_checksum = has_all(dev.rx_offload_capa, rx_checksum);
	info->tx_ip_checksum = has_all(dev.tx_offload_capa, RTE_ETH_TX_OFFLOAD_IPV4_CKSUM);
	info->tx_udp_checksum = has_all(dev.tx_offload_capa, RTE_ETH_TX_OFFLOAD_UDP_CKSUM);
	info->tx_multi_segment = has_all(dev.tx_offload_capa, RTE_ETH_TX_OFFLOAD_MULTI_SEGS);
	return 0;
}

int pg_port_configure(uint16_t port, const struct pg_port_conf *conf)
{
	struct rte_eth_conf eth;
	struct rte_eth_dev_info dev;
	int status;

	memset(&dev, 0, sizeof(dev));
	status = rte_eth_dev_info_get(port, &dev);
	if (status != 0)
		return status;

	memset(&eth, 0, sizeof(eth));
	eth.rxmode.mtu = conf->mtu;
	eth.rxmode.mq_mode = RTE_ETH_MQ_RX_NONE;
	eth.txmode.mq_mode = RTE_ETH_MQ_TX_NONE;
	if (conf->rx_scatter)
		eth.rxmode.offloads |= RTE_ETH_RX_OFFLOAD_SCATTER;
	if (conf->rx_checksum)
		eth.rxmode.offloads |= rx_checksum;
	if (conf->rss_key != NULL) {
		eth.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		eth.rx_adv_conf.rss_conf.rss_hf = rss_l3;
		/* rss_key is not const in the structure, but drivers only read it. */
		eth.rx_adv_conf.rss_conf.rss_key = (uint8_t *)(uintptr_t)conf->rss_key;
		eth.rx_adv_conf.rss_conf.rss_key_len = conf->rss_key_length;
		eth.rxmode.offloads |= dev.rx_offload_capa & RTE_ETH_RX_OFFLOAD_RSS_HASH;
	}
	if (conf->tx_ip_checksum)
		eth.txmode.offloads |= RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
	if (conf->tx_udp_checksum)
		eth.txmode.offloads |= RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
	if (conf->tx_multi_segment)
		eth.txmode.offloads |= RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	return rte_eth_dev_configure(port, conf->rx_queues, conf->tx_queues, &eth);
}

int pg_port_rx_queue(uint16_t port, uint16_t queue, uint16_t descriptors, unsigned int socket,
		     struct rte_mempool *pool)
{
	/* No queue configuration: the driver's defaults, with the port's offloads. */
	return rte_eth_rx_queue_setup(port, queue, descriptors, socket, NULL, pool);
}

int pg_port_tx_queue(uint16_t port, uint16_t queue, uint16_t descriptors, unsigned int socket)
{
	return rte_eth_tx_queue_setup(port, queue, descriptors, socket, NULL);
}

int pg_port_spread(uint16_t port, uint16_t size, uint16_t queues)
{
	struct rte_eth_rss_reta_entry64 table[RTE_ETH_RSS_RETA_SIZE_512 / RTE_ETH_RETA_GROUP_SIZE];
	uint16_t i;

	/* Larger tables keep the driver's own filling, which is even as well. */
	if (size > RTE_ETH_RSS_RETA_SIZE_512)
		return 0;
	memset(table, 0, sizeof(table));
	for (i = 0; i < size; i++) {
		struct rte_eth_rss_reta_entry64 *group = &table[i / RTE_ETH_RETA_GROUP_SIZE];

		group->mask |= UINT64_C(1) << (i % RTE_ETH_RETA_GROUP_SIZE);
		group->reta[i % RTE_ETH_RETA_GROUP_SIZE] = i % queues;
	}
	return rte_eth_dev_rss_reta_update(port, table, size);
}

int pg_port_link(uint16_t port, bool *up, uint32_t *mbit_per_second)
{
	struct rte_eth_link link;
	int status;

	memset(&link, 0, sizeof(link));
	status = rte_eth_link_get_nowait(port, &link);
	if (status != 0)
		return status;
	*up = link.link_status == RTE_ETH_LINK_UP;
	*mbit_per_second = link.link_speed == RTE_ETH_SPEED_NUM_UNKNOWN ? 0 : link.link_speed;
	return 0;
}

uint16_t pg_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count)
{
	return rte_eth_rx_burst(port, queue, mbufs, count);
}

uint16_t pg_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count)
{
	return rte_eth_tx_burst(port, queue, mbufs, count);
}

uint16_t pg_tx_prepare(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count)
{
	return rte_eth_tx_prepare(port, queue, mbufs, count);
}

/* ---- rings of pointers between threads ---- */

struct rte_ring *pg_ring_create(const char *name, unsigned int capacity, int socket)
{
	return rte_ring_create(name, capacity, socket, RING_F_SC_DEQ | RING_F_EXACT_SZ);
}

unsigned int pg_ring_enqueue(struct rte_ring *ring, void *const *objects, unsigned int count)
{
	return rte_ring_mp_enqueue_burst(ring, objects, count, NULL);
}

unsigned int pg_ring_dequeue(struct rte_ring *ring, void **objects, unsigned int count)
{
	return rte_ring_sc_dequeue_burst(ring, objects, count, NULL);
}

/* ---- quiescent states ---- */

void pg_qsbr_online(struct rte_rcu_qsbr *qsbr, unsigned int thread)
{
	rte_rcu_qsbr_thread_online(qsbr, thread);
}

void pg_qsbr_offline(struct rte_rcu_qsbr *qsbr, unsigned int thread)
{
	rte_rcu_qsbr_thread_offline(qsbr, thread);
}

void pg_qsbr_quiescent(struct rte_rcu_qsbr *qsbr, unsigned int thread)
{
	rte_rcu_qsbr_quiescent(qsbr, thread);
}

uint64_t pg_qsbr_start(struct rte_rcu_qsbr *qsbr)
{
	return rte_rcu_qsbr_start(qsbr);
}

bool pg_qsbr_check(struct rte_rcu_qsbr *qsbr, uint64_t token)
{
	return rte_rcu_qsbr_check(qsbr, token, false) == 1;
}

/* ---- reassembly of IP fragments ---- */

struct rte_mbuf *pg_reassemble_ipv4(struct rte_ip_frag_tbl *table, struct rte_ip_frag_death_row *row,
				    struct rte_mbuf *mbuf, uint16_t l2_length, uint16_t l3_length, uint64_t now)
{
	mbuf->l2_len = l2_length;
	mbuf->l3_len = l3_length;
	return rte_ipv4_frag_reassemble_packet(table, row, mbuf, now,
					       rte_pktmbuf_mtod_offset(mbuf, struct rte_ipv4_hdr *, l2_length));
}

struct rte_mbuf *pg_reassemble_ipv6(struct rte_ip_frag_tbl *table, struct rte_ip_frag_death_row *row,
				    struct rte_mbuf *mbuf, uint16_t l2_length, uint16_t l3_length, uint64_t now)
{
	struct rte_ipv6_hdr *header = rte_pktmbuf_mtod_offset(mbuf, struct rte_ipv6_hdr *, l2_length);

	mbuf->l2_len = l2_length;
	mbuf->l3_len = l3_length;
	return rte_ipv6_frag_reassemble_packet(table, row, mbuf, now, header,
					       (struct rte_ipv6_fragment_ext *)(void *)(header + 1));
}

/* ---- telemetry ---- */

/* 23.03 renamed the unsigned values from "u64" to "uint". */
#if RTE_VERSION >= RTE_VERSION_NUM(23, 3, 0, 0)
#define TELEMETRY_UNSIGNED RTE_TEL_UINT_VAL
#define telemetry_add_array rte_tel_data_add_array_uint
#define telemetry_add_dict rte_tel_data_add_dict_uint
#else
#define TELEMETRY_UNSIGNED RTE_TEL_U64_VAL
#define telemetry_add_array rte_tel_data_add_array_u64
#define telemetry_add_dict rte_tel_data_add_dict_u64
#endif

int pg_telemetry_array_u64(struct rte_tel_data *data)
{
	return rte_tel_data_start_array(data, TELEMETRY_UNSIGNED);
}

int pg_telemetry_array_string(struct rte_tel_data *data)
{
	return rte_tel_data_start_array(data, RTE_TEL_STRING_VAL);
}

int pg_telemetry_add_array_u64(struct rte_tel_data *data, uint64_t value)
{
	return telemetry_add_array(data, value);
}

int pg_telemetry_add_dict_u64(struct rte_tel_data *data, const char *name, uint64_t value)
{
	return telemetry_add_dict(data, name, value);
}
