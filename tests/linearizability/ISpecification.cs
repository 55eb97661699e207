namespace IommuFd.Linearizability;

/// <summary>What a service is that does one ioctl after the other: from a state and an ioctl follow the next state and the answer.</summary>
/// <typeparam name="TState">An immutable value. Equal states answer alike from then on.</typeparam>
internal interface ISpecification<TState>
    where TState : IEquatable<TState>
{
    /// <summary>The state before the first ioctl.</summary>
    TState Initial { get; }

    /// <summary>Does an ioctl.</summary>
    /// <param name="state">The state before it, which stays as it is.</param>
    /// <param name="ioctl">The ioctl.</param>
    /// <exception cref="NotSupportedException">The specification says nothing about such an ioctl.</exception>
    (TState Next, IoctlAnswer Answer) Apply(TState state, Ioctl ioctl);

    /// <summary>Whether an ioctl that was answered so has changed nothing, in whatever state it was done.</summary>
    /// <param name="ioctl">The ioctl.</param>
    /// <param name="answer">What it was answered.</param>
    bool ChangesNothing(Ioctl ioctl, IoctlAnswer answer);
}
