using IommuFd.Uapi;

namespace IommuFd.Grains.Dispatch;

/// <summary>Whether a request has changed the context, or may have, given the errno that it was answered. Such an answer must be journaled.</summary>
/// <typeparam name="TRequest">An ioctl or a driver's request.</typeparam>
internal delegate bool ChangeRule<in TRequest>(TRequest request, Errno errno);
