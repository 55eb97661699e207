namespace IommuFd.Linearizability;

/// <summary>
/// Specifies a service that runs one ioctl after the other: a state and an ioctl determine the next state and the answer.
/// </summary>
/// <typeparam name="TState">An immutable value. Equal states give equal answers from then on.</typeparam>
internal interface ISpecification<TState>
    where TState : IEquatable<TState>
{
    /// <summary>The state before the first ioctl.</summary>
    TState Initial { get; }

    /// <summary>Runs an ioctl.</summary>
    /// <param name="state">The state before it, which does not change.</param>
    /// <param name="ioctl">The ioctl.</param>
    /// <exception cref="NotSupportedException">The specification does not cover such an ioctl.</exception>
    (TState Next, IoctlAnswer Answer) Apply(TState state, Ioctl ioctl);

    /// <summary>Whether an ioctl with this answer has changed nothing, in whatever state it ran.</summary>
    /// <param name="ioctl">The ioctl.</param>
    /// <param name="answer">Its answer.</param>
    bool ChangesNothing(Ioctl ioctl, IoctlAnswer answer);
}
