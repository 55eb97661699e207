using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

/// <summary>An ioctl that may travel with others.</summary>
internal interface ICombinedIoctl
{
    /// <summary>The ioctl.</summary>
    IoctlRequest Request { get; }

    /// <summary>Its name.</summary>
    OperationId Operation { get; }

    /// <summary>Whether its answer is still awaited from this attempt. If not, it is not sent.</summary>
    bool IsAwaited { get; }

    /// <summary>It was answered. May run the caller's code.</summary>
    void Answer(IoctlReply reply);

    /// <summary>The attempt failed. May run the caller's code.</summary>
    /// <param name="exception">Why.</param>
    /// <param name="isImmediate">Whether it failed before anything was sent.</param>
    /// <param name="isShared">Whether others have travelled with it, any of which may be the reason.</param>
    void Fail(Exception exception, bool isImmediate, bool isShared);
}
