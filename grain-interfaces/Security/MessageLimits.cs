using Orleans.Configuration;

namespace IommuFd.GrainInterfaces.Security;

// A connection keeps the bytes of a message until it is whole, as many as its frame claims, so these bound what a peer can make a silo keep.

/// <summary>The largest messages that silos and clients send and accept.</summary>
internal static class MessageLimits
{
    /// <summary>The largest are a request (<c>Contexts:MaxRequestBytes</c>, 64 MiB) and a volatile context that moves to another silo.</summary>
    private const int Body = 100 << 20;

    /// <summary>
    /// Addresses of grains and a trace: hundreds of bytes; an application may send a context of its own with its calls. Values nested as deep as fits
    /// here are read without an end of the stack (docs/upstream.md).
    /// </summary>
    private const int Header = 16 << 10;

    public static void Apply(MessagingOptions messaging) => (messaging.MaxMessageHeaderSize, messaging.MaxMessageBodySize) = (Header, Body);
}
