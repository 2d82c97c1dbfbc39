"""HAProxy on hosts of its own: /readyz checked by itself, its state read and set by its admin socket."""

from scaler.drivers.lb_on_hosts import WithSocket


class Haproxy(WithSocket):
    """The distribution's HAProxy."""

    title = "HAProxy"
    socket = "/run/haproxy/admin.sock"


DRIVER = Haproxy()
