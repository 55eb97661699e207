namespace IommuFd.GrainInterfaces;

/// <summary>What an inspection shows of an object's state. Each kind of object derives its own record.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.ObjectState")]
public abstract record ObjectState;
