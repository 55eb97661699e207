using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.Model;

// The kernel can be told to fail the nth allocation of a system call. Here the points are those at which the service has what it needs or answers ENOMEM: when a
// command begins, when it takes an id, and when it takes room for areas. Between two of them nothing fails for want of memory.

/// <summary>The points of the running ioctl at which it can fail for want of memory; one of them may be made to fail.</summary>
internal sealed class FailurePoints
{
    private FaultInjection? _fault;

    /// <summary>How many points the ioctl has passed. Counted only where one is to fail.</summary>
    public uint Passed { get; private set; }

    /// <summary>Why the last point failed; success where it did not.</summary>
    public OperationResult Failed { get; private set; }

    /// <summary>An ioctl begins that is to fail somewhere; null where it is not, or when it has ended.</summary>
    public void Begin(FaultInjection? fault) => (_fault, Passed, Failed) = (fault, 0, default);

    /// <summary>Passes a point.</summary>
    /// <returns>The failure, if it is to fail here.</returns>
    public OperationResult Pass()
    {
        if (_fault is null || ++Passed != _fault.Point)
        {
            return default;
        }

        return Failed = new OperationResult(_fault.Errno, default, Failure.Because(DiagnosticReason.FaultInjected, Passed));
    }
}
