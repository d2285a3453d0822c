#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fsutil.h"
#include "message.h"
#include "spawn.h"
#include "system.h"

enum { ETHERNET = 1, MAX_NAMESERVERS = 3, MAC_BYTES = 6 };

static void set_address(struct sockaddr *out, uint32_t host_order)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(host_order)}};
	memcpy(out, &address, sizeof(address));
}

static int set_flags(int fd, struct ifreq *request, bool up)
{
	if (ioctl(fd, SIOCGIFFLAGS, request) < 0)
		return -errno;
	request->ifr_flags = (short)(up ? request->ifr_flags | IFF_UP : request->ifr_flags & ~IFF_UP);
	return ioctl(fd, SIOCSIFFLAGS, request) < 0 ? -errno : 0;
}

static int set_mac(int fd, struct ifreq *request, const uint8_t *mac)
{
	static const uint8_t zero[MAC_BYTES];
	if (memcmp(mac, zero, MAC_BYTES) == 0)
		return 0;
	int error = set_flags(fd, request, false);
	if (error < 0)
		return error;
	memset(&request->ifr_hwaddr, 0, sizeof(request->ifr_hwaddr));
	request->ifr_hwaddr.sa_family = ETHERNET;
	memcpy(request->ifr_hwaddr.sa_data, mac, MAC_BYTES);
	return ioctl(fd, SIOCSIFHWADDR, request) < 0 ? -errno : 0;
}

static int set_ip(int fd, struct ifreq *request, const struct network_request *wanted)
{
	uint32_t mask = wanted->prefix_bits == 0 ? 0 : UINT32_MAX << (32 - wanted->prefix_bits);
	set_address(&request->ifr_addr, wanted->address);
	if (ioctl(fd, SIOCSIFADDR, request) < 0)
		return -errno;
	set_address(&request->ifr_netmask, mask);
	return ioctl(fd, SIOCSIFNETMASK, request) < 0 ? -errno : 0;
}

static int set_gateway(int fd, uint32_t gateway)
{
	struct rtentry route;
	memset(&route, 0, sizeof(route));
	set_address(&route.rt_dst, 0);
	set_address(&route.rt_genmask, 0);
	set_address(&route.rt_gateway, gateway);
	route.rt_flags = RTF_UP | RTF_GATEWAY;
	return ioctl(fd, SIOCADDRT, &route) < 0 && errno != EEXIST ? -errno : 0;
}

static int write_resolver(struct wire_list nameservers)
{
	char text[512] = "";
	size_t len = 0;
	const uint8_t *at = nameservers.first;
	for (uint32_t i = 0; i < nameservers.count && i < MAX_NAMESERVERS; i++) {
		uint8_t address[16];
		const char *server = wire_list_next(&at);
		if (inet_pton(AF_INET, server, address) != 1 && inet_pton(AF_INET6, server, address) != 1)
			return -EINVAL;
		len += (size_t)snprintf(text + len, sizeof(text) - len, "nameserver %s\n", server);
	}
	return len == 0 ? 0 : file_replace("/etc/resolv.conf", text, 0644);
}

static int configure(const struct network_request *wanted)
{
	struct ifreq request;
	memset(&request, 0, sizeof(request));
	memcpy(request.ifr_name, wanted->interface, strlen(wanted->interface));
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	int error = set_mac(fd, &request, wanted->mac);
	if (error == 0 && wanted->address != 0)
		error = set_ip(fd, &request, wanted);
	if (error == 0)
		error = set_flags(fd, &request, true);
	if (error == 0 && wanted->gateway != 0)
		error = set_gateway(fd, wanted->gateway);
	if (error == 0)
		error = write_resolver(wanted->nameservers);
	close(fd);
	return error;
}

void network_job(int report, const uint8_t *payload, size_t len)
{
	struct network_request request;
	char text[128];
	if (message_decode_network(payload, len, &request) < 0) {
		report_error(report, "REQUEST_INVALID", EINVAL, "SET_NETWORK");
		return;
	}
	int error = configure(&request);
	if (error == 0) {
		report_ok(report, NULL, 0);
		return;
	}
	snprintf(text, sizeof(text), "%s: %s", request.interface, strerror(-error));
	report_error(report, "SYSTEM_FAILED", -error, text);
}

void network_loopback_up(void)
{
	struct ifreq request;
	memset(&request, 0, sizeof(request));
	memcpy(request.ifr_name, "lo", 2);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0) {
		set_flags(fd, &request, true);
		close(fd);
	}
}
