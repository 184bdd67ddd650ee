"""断网守卫：SBERTBOOK_NO_NETWORK=1 时，连接或查询本机以外的地址立刻报错。

把本目录放进 PYTHONPATH，Python 启动时就会自动运行本文件；Notebook 的内核也是这样被管住的。
"""

import ipaddress
import os
import socket


class NetworkForbidden(ConnectionError):
    """测试中有代码想连接本机以外的地址。"""


def require_loopback(host):
    """host 是本机（或为空）则返回，否则抛出 NetworkForbidden。"""
    if isinstance(host, bytes):
        host = host.decode()
    if host in (None, "", "localhost", "0.0.0.0", "::"):
        return
    try:
        if ipaddress.ip_address(host).is_loopback:
            return
    except ValueError:
        pass
    raise NetworkForbidden(f"本书的代码必须能离线运行，这里却想连接 {host}")


def guard(function, host_of):
    """返回先检查地址、再调用原函数的函数。"""
    def guarded(*args, **kwargs):
        require_loopback(host_of(*args, **kwargs))
        return function(*args, **kwargs)
    return guarded


def peer(sock, *args):
    """socket 方法的目标地址；地址总是最后一个参数，本机的 UNIX 套接字没有主机名。"""
    return args[-1][0] if sock.family in (socket.AF_INET, socket.AF_INET6) else None


def install():
    """换掉标准库里发起连接和查询域名的函数。"""
    for name in ("connect", "connect_ex", "sendto"):
        setattr(socket.socket, name, guard(getattr(socket.socket, name), peer))
    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
        setattr(socket, name, guard(getattr(socket, name), lambda host, *_, **__: host))


if os.environ.get("SBERTBOOK_NO_NETWORK") == "1" and not hasattr(socket, "sbertbook_guard"):
    socket.sbertbook_guard = True  # 同一进程里只装一次
    install()
